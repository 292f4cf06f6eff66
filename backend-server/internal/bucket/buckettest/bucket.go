package buckettest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/thanos-io/objstore"
)

// ErrCrashed is the error of every call after the crash.
var ErrCrashed = errors.New("the program that calls has crashed")

// Bucket is a bucket that misbehaves.
type Bucket struct {
	objstore.Bucket // the truth (T2)
	lag             Lag

	mu      sync.Mutex // guards all below
	rules   []Rule
	nth     map[Call]int // by calls whose Nth is 0
	total   int          // calls since New; lag counts by it
	stats   Stats
	crashAt int // mutation, counted from 1; 0 is never
	crashes When
	crashed bool
	died    bool             // crashed at least once
	hidden  map[string]*late // uploads that are not known yet, by name
	ghosts  map[string]*ghost
}

// Stats counts what a program asked of the store.
type Stats struct {
	Calls     map[Op]int // failed ones included
	Mutations int        // uploads and deletions
	Uploaded  int64      // bytes given to Upload and taken
	Read      int64      // bytes taken from Get and GetRange
}

// New returns a bucket on top of bkt.
func New(bkt objstore.Bucket, lag Lag, rules ...Rule) *Bucket {
	return &Bucket{
		Bucket: bkt, lag: lag, rules: rules, nth: map[Call]int{}, stats: Stats{Calls: map[Op]int{}},
		hidden: map[string]*late{}, ghosts: map[string]*ghost{},
	}
}

// Use replaces the rules.
func (b *Bucket) Use(rules ...Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = rules
}

// Stats returns the counts since New or the last ResetStats.
func (b *Bucket) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Calls = map[Op]int{}
	for op, n := range b.stats.Calls {
		s.Calls[op] = n
	}
	return s
}

// ResetStats sets all counts to 0.
func (b *Bucket) ResetStats() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats = Stats{Calls: map[Op]int{}}
}

// begin counts a call and says what goes wrong with it.
func (b *Bucket) begin(ctx context.Context, op Op, name string) (Fault, error) {
	if err := ctx.Err(); err != nil {
		return Fault{}, err
	}
	f, call, rules := b.count(op, name)
	for _, rule := range rules {
		one := rule(call)
		f.Delay += one.Delay
		if f.Err == nil && one.Err != nil {
			f.Err, f.When = fmt.Errorf("%s %s (call %d): %w", op, name, call.Nth, one.Err), one.When
		}
	}
	if err := sleep(ctx, f.Delay); err != nil {
		return Fault{}, err
	}
	if f.Err != nil && (f.When == Before || !op.Mutates()) {
		return Fault{}, f.Err
	}
	return f, nil
}

// count counts a call and decides whether the program dies of it.
func (b *Bucket) count(op Op, name string) (Fault, Call, []Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nth[Call{Op: op, Name: name}]++
	call := Call{Op: op, Name: name, Nth: b.nth[Call{Op: op, Name: name}]}
	b.stats.Calls[op]++
	b.total++
	if b.crashed {
		return Fault{Err: ErrCrashed}, call, nil
	}
	if op.Mutates() {
		b.stats.Mutations++
		if b.crashAt > 0 && b.stats.Mutations >= b.crashAt {
			b.crashed, b.died = true, true
			return Fault{Err: ErrCrashed, When: b.crashes}, call, nil
		}
	}
	return Fault{}, call, b.rules
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Upload implements objstore.Bucket.
func (b *Bucket) Upload(ctx context.Context, name string, r io.Reader, o ...objstore.ObjectUploadOption) error {
	f, err := b.begin(ctx, Upload, name)
	if err != nil {
		return err
	}
	size, err := objstore.TryToGetSize(r)
	if f.Err != nil && f.When == Torn {
		if err != nil {
			return errors.Join(f.Err, err)
		}
		r, size = io.LimitReader(r, size/2), size/2
	}
	if err := b.noteUpload(ctx, name); err != nil {
		return err
	}
	counted := &countedReader{r: r, size: size, sizeErr: err, add: func(n int) { b.add(&b.stats.Uploaded, n) }}
	if err := b.Bucket.Upload(ctx, name, counted, o...); err != nil {
		return errors.Join(err, f.Err)
	}
	return f.Err
}

// Delete implements objstore.Bucket.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	f, err := b.begin(ctx, Delete, name)
	if err != nil {
		return err
	}
	if f.Err != nil && f.When == Torn {
		return f.Err
	}
	if err := b.noteDelete(ctx, name); err != nil {
		return err
	}
	return errors.Join(b.Bucket.Delete(ctx, name), f.Err)
}

func (b *Bucket) add(counter *int64, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*counter += int64(n)
}

// countedReader counts what is read through it.
type countedReader struct {
	r       io.Reader
	size    int64
	sizeErr error
	add     func(int)
}

// ObjectSize implements objstore.ObjectSizer.
func (c *countedReader) ObjectSize() (int64, error) { return c.size, c.sizeErr }

// Read implements io.Reader.
func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.add(n)
	return n, err
}

// Close closes what is read, if it can be closed.
func (c *countedReader) Close() error {
	if closer, ok := c.r.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
