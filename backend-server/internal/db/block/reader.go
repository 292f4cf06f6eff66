package block

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Source is where a block's files are read from.
type Source interface {
	// ReadAt fills p with what the named file holds from off on. A file that
	// is too short is an error of kind Corrupt.
	ReadAt(ctx context.Context, name string, p []byte, off int64) error
}

// Block reads one block. It reads what a query needs when it needs it, and
// keeps what was decoded but for samples until Forget. It is safe for
// concurrent use.
type Block struct {
	meta  *Meta
	src   Source
	far   Far // src, if it is one
	close func() error

	cache atomic.Pointer[cache]
}

// cache is what a block has decoded.
type cache struct {
	bytes  atomic.Int64 // of memory, about
	layout once[*layout]
	ids    once[[]uint64]

	mu      sync.Mutex
	bundles map[int]*once[[]*symbols.Table] // by row group of the texts
	rows    map[int]*once[*rowGroup]        // by row group
	sums    map[int]*once[*rowGroup]
	spans   map[uint32]*once[spanMap] // by partition
	since   map[uint32]*once[sinceList]
}

func newCache() *cache {
	return &cache{
		bundles: map[int]*once[[]*symbols.Table]{}, rows: map[int]*once[*rowGroup]{},
		sums: map[int]*once[*rowGroup]{}, spans: map[uint32]*once[spanMap]{}, since: map[uint32]*once[sinceList]{},
	}
}

// entryOf returns the entry of a map of c, which it makes if need be.
func entryOf[K comparable, V any](c *cache, m map[K]*once[V], key K) *once[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := m[key]
	if o == nil {
		o = new(once[V])
		m[key] = o
	}
	return o
}

// Forget drops what was decoded. It is read again when it is needed again. It
// may be called at any time: who uses what was decoded goes on doing so.
func (b *Block) Forget() { b.cache.Store(newCache()) }

// MemoryBytes is about what the block holds that Forget drops.
func (b *Block) MemoryBytes() int64 { return b.cache.Load().bytes.Load() }

var _ query.Summed = (*Block)(nil)

// once computes a value when it is first asked for. A failure is not kept.
type once[T any] struct {
	mu      sync.Mutex
	running chan struct{} // closed when the one who computes is done; nil if nobody does
	done    bool
	v       T
}

// peek returns the value if it has been computed.
func (o *once[T]) peek() (v T, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.v, o.done
}

// get returns the value. Whoever waits for another to compute it waits no
// longer than ctx lasts, and computes it should that one fail.
func (o *once[T]) get(ctx context.Context, compute func() (T, error)) (T, error) {
	for {
		o.mu.Lock()
		if o.done {
			defer o.mu.Unlock()
			return o.v, nil
		}
		running := o.running
		if running == nil {
			o.running = make(chan struct{})
			o.mu.Unlock()
			return o.compute(compute)
		}
		o.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

func (o *once[T]) compute(compute func() (T, error)) (v T, err error) {
	returned := false // rather than panicked
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if returned && err == nil {
			o.v, o.done = v, true
		}
		close(o.running)
		o.running = nil
	}()
	v, err = compute()
	returned = true
	return v, err
}

// Open returns a reader for the block that meta describes. Nothing is read
// yet. The caller must Close it.
func Open(_ context.Context, meta *Meta, src Source) (*Block, error) {
	b := &Block{meta: meta, src: src, close: func() error { return nil }}
	b.far, _ = src.(Far)
	b.Forget()
	return b, nil
}

// OpenDir opens the block in a directory of the local disk.
func OpenDir(dir string) (*Block, error) {
	raw, err := os.ReadFile(filepath.Join(dir, MetaFile))
	if err != nil {
		return nil, fmt.Errorf("block meta: %w", err)
	}
	meta, err := ReadMeta(raw)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, DataFile))
	if err != nil {
		return nil, fmt.Errorf("block data: %w", err)
	}
	b, err := Open(context.Background(), meta, FileSource{f})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.close = f.Close
	return b, nil
}

// FileSource reads DataFile from an open file.
type FileSource struct{ io.ReaderAt }

// ReadAt implements Source.
func (s FileSource) ReadAt(_ context.Context, name string, p []byte, off int64) error {
	if name != DataFile {
		return fault.New(fault.NotFound, "block file %q", name)
	}
	n, err := s.ReaderAt.ReadAt(p, off)
	switch {
	case n == len(p): // then io.EOF says only that the file ends here
		return nil
	case errors.Is(err, io.EOF):
		return fault.New(fault.Corrupt, "%s ends at byte %d, before %d", name, off+int64(n), off+int64(len(p)))
	}
	return err
}

// Close releases the block's files. No method may be running or follow.
func (b *Block) Close() error { return b.close() }

// OnClose makes Close call fn too, after what it does by itself.
func (b *Block) OnClose(fn func() error) {
	first := b.close
	b.close = func() error { return errors.Join(first(), fn()) }
}

// Meta returns the block's description, which must not be changed.
func (b *Block) Meta() *Meta { return b.meta }

// Origin implements query.Queryable.
func (b *Block) Origin() query.Origin { return b.meta.Origin() }

// TimeRange implements query.Queryable.
func (b *Block) TimeRange() profile.TimeRange { return b.meta.TimeRange() }
