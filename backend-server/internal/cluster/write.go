package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Batch is things of a tenant that are written to their replicas.
type Batch struct {
	Tenant string
	// Hashes has one element for each item: where it lies, see Token.
	Hashes []uint64
	// Timeout bounds each Send. A Send is not cut short when the caller of
	// Write goes away.
	Timeout time.Duration
	// Send writes the items with these indices to a member, in one call. It
	// returns nil, or an error or nil for each of items. It runs in its own
	// goroutine, once for each member.
	Send func(ctx context.Context, to Peer, items []int) []error
	// Done, if not nil, is called once, when no Send runs any more: what Send
	// uses is free then. That may be after Write has returned.
	Done func()
}

// Write sends the items of b to their replicas and returns as soon as the fate
// of each is known: nil for those that a quorum has acknowledged, an error for
// those that no quorum can acknowledge any more. A slow member delays nobody.
// What has not been sent by then goes on in the background.
//
// If the error is that of a quorum, of the kind fault.Invalid or
// fault.TooLarge, all members would refuse the item; else trying again helps.
// After any error an item may have been stored by some members.
func (r *Ring) Write(ctx context.Context, b Batch) []error {
	t := newTally(len(b.Hashes))
	byMember := r.route(&b, t)
	if !r.sends.begin(len(byMember) + 1) { // one waits for the others
		for i := range b.Hashes {
			t.refuse(i, fault.New(fault.Unavailable, "the process is stopping"))
		}
		if b.Done != nil {
			b.Done()
		}
		return t.wait(ctx)
	}
	var running sync.WaitGroup
	for _, to := range byMember {
		running.Go(func() {
			defer r.sends.end()
			sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.Timeout)
			defer cancel()
			t.record(to.items, b.Send(sctx, to.peer, to.items))
		})
	}
	go func() {
		defer r.sends.end()
		running.Wait()
		if b.Done != nil {
			b.Done()
		}
	}()
	return t.wait(ctx)
}

// load is what is sent to one member.
type load struct {
	peer  Peer
	items []int
}

// route sorts the items by member, and refuses those that have too few.
func (r *Ring) route(b *Batch, t *tally) map[string]*load {
	shard := r.shard(b.Tenant)
	byMember := map[string]*load{}
	sets := map[uint64]Set{} // batches have few series
	for i, hash := range b.Hashes {
		set, ok := sets[hash]
		if !ok {
			var err error
			if set, err = r.replicas(shard, Token(b.Tenant, hash)); err != nil {
				t.refuse(i, err)
				continue
			}
			sets[hash] = set
		}
		t.expect(i, len(set.Instances), set.MaxErrors)
		for _, p := range set.Instances {
			l := byMember[p.Id]
			if l == nil {
				l = &load{peer: p}
				byMember[p.Id] = l
			}
			l.items = append(l.items, i)
		}
	}
	return byMember
}

// tally counts answers until the fate of every item is known.
type tally struct {
	mu    sync.Mutex
	items []fate
	open  int // items whose fate is not known
	done  chan struct{}
}

// fate is what is known of one item.
type fate struct {
	decided            bool
	need, allowed      int // acknowledgements needed, errors allowed
	acks, errs, faulty int // faulty: errors that say the item is wrong
	err, faultyErr     error
}

func newTally(n int) *tally {
	t := &tally{items: make([]fate, n), open: n, done: make(chan struct{})}
	if n == 0 {
		close(t.done)
	}
	return t
}

// expect says how many members get an item. It is called before anything is
// sent.
func (t *tally) expect(i, members, allowed int) {
	t.items[i].need, t.items[i].allowed = members-allowed, allowed
}

// refuse ends an item with an error.
func (t *tally) refuse(i int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.items[i].decided {
		t.items[i].err = err
		t.decide(&t.items[i])
	}
}

func (t *tally) decide(f *fate) {
	f.decided = true
	if t.open--; t.open == 0 {
		close(t.done)
	}
}

// record takes in the answer of one member for items.
func (t *tally) record(items []int, errs []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, i := range items {
		var err error
		if n < len(errs) {
			err = errs[n]
		}
		if f := &t.items[i]; !f.decided && f.add(err) {
			t.decide(f)
		}
	}
}

// add counts an answer and reports whether it decides.
func (f *fate) add(err error) bool {
	switch {
	case err == nil:
		f.acks++
	case fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge):
		f.errs++
		f.faulty++
		f.faultyErr = err
	default:
		f.errs++
		f.err = err
	}
	if f.acks >= f.need {
		f.err = nil
		return true
	}
	if f.errs <= f.allowed {
		return false
	}
	// Only if the members that say so are too many to be outvoted is it the
	// item that is wrong.
	if f.faulty > f.allowed || f.err == nil {
		f.err = f.faultyErr
	}
	return true
}

// wait returns the errors when the fate of all items is known or ctx ends.
func (t *tally) wait(ctx context.Context) []error {
	select {
	case <-t.done:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]error, len(t.items))
	for i := range t.items {
		switch f := &t.items[i]; {
		case f.decided:
			out[i] = f.err
		default:
			out[i] = fault.New(fault.Unavailable, "not known whether it is stored: %w", context.Cause(ctx))
		}
	}
	return out
}

// sends owns the goroutines of writes that outlive their callers (R6).
type sends struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// begin announces n goroutines, each of which calls end. It reports whether
// they may run.
func (s *sends) begin(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(n)
	return true
}

func (s *sends) end() { s.running.Done() }

// close refuses new goroutines and waits for those that run.
func (s *sends) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
}
