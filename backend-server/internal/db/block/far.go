package block

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Far is a Source that lies far away: what a read costs is mostly the way there
// and back. Of such a source everything that is known to be needed is read at
// the same time, and what is not needed is left out rather than read along.
type Far interface {
	Source
	// ReadAgain is ReadAt for what a block reads again, in the same pieces,
	// whenever it has forgotten it: its tail, symbols, and what rows have besides
	// their samples. It is worth being kept nearby.
	ReadAgain(ctx context.Context, name string, p []byte, off int64) error
	// Reserve waits until n more bytes may be held of what was read ahead, and
	// returns a function that must be called when they are not any more. Who
	// holds some does not wait for more.
	Reserve(ctx context.Context, n int64) (release func(), err error)
}

const (
	// farGap is mergeGap for sources far away. Since reads do not wait for each
	// other, one costs little time, but a request.
	farGap = 128 << 10
	// readsAtOnce is how many reads of one fetch run at the same time.
	readsAtOnce = 32
	// readAhead is how many bytes a scan reads at once, at least a row group's.
	readAhead = 16 << 20
)

func (b *Block) gap() int64 {
	if b.far != nil {
		return farGap
	}
	return mergeGap
}

// Distant implements query.Distant.
func (b *Block) Distant() bool { return b.far != nil }

// pending is a task with what has been read of it.
type pending struct {
	task
	g     *rowGroup // nil: not read yet
	pages []extent
	size  int64 // of pages, and of the numbers if these have not been read
}

// ahead reads tasks from far away, in two steps at most: where it takes the
// numbers to know which rows are wanted, those of all row groups; then the pages
// of all, with what is missing of the numbers. What does not fit readAhead is
// read later.
func (s *rowScan) ahead(ctx context.Context, tasks []task) error {
	list := make([]*pending, len(tasks))
	var first []*pending
	for i, t := range tasks {
		p := &pending{task: t}
		p.g, _ = entryOf(s.t.cache, s.t.groups, t.group).peek()
		if p.g == nil {
			p.size = numbersOf(&s.t.Groups[t.group]).size
			if s.totalsOnly || slices.ContainsFunc(t.runs, func(r run) bool { return !r.sure }) {
				first = append(first, p)
			}
		}
		list[i] = p
	}
	if err := s.inBatches(ctx, first, func([]*pending, pieces) error { return nil }); err != nil {
		return err
	}
	if s.totalsOnly {
		for _, p := range list {
			if err := s.totals(ctx, p.g, s.choose(p.g, p.runs)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range list {
		if err := s.plan(p); err != nil {
			return err
		}
	}
	return s.inBatches(ctx, list, func(some []*pending, got pieces) error {
		for _, p := range some {
			if err := s.pages(ctx, p.group, p.g, s.choose(p.g, p.runs), got); err != nil {
				return err
			}
		}
		return nil
	})
}

// plan finds the pages that a task needs.
func (s *rowScan) plan(p *pending) (err error) {
	if p.g != nil {
		p.runs = s.choose(p.g, p.runs)
	}
	if _, p.pages, err = pagesOf(&s.t.Groups[p.group], p.runs); err != nil {
		return fmt.Errorf("block %s: %s: row group %d: %w", s.b.meta.ID, s.t.Schema.Name, p.group, err)
	}
	for _, e := range p.pages {
		p.size += e.size
	}
	return nil
}

// inBatches reads what tasks need, as many at once as readAhead allows, and
// calls fn for each batch, with the numbers of its row groups decoded.
func (s *rowScan) inBatches(ctx context.Context, list []*pending, fn func([]*pending, pieces) error) error {
	for len(list) > 0 {
		n, size := 0, int64(0)
		for n < len(list) && (n == 0 || size+list[n].size <= readAhead) {
			size += list[n].size
			n++
		}
		if err := s.batch(ctx, list[:n], size, fn); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func (s *rowScan) batch(ctx context.Context, some []*pending, size int64, fn func([]*pending, pieces) error) error {
	release, err := s.b.far.Reserve(ctx, size)
	if err != nil {
		return err
	}
	defer release()
	// Another scan may be reading the same numbers, so each row group's are read
	// by themselves.
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	var pages []extent
	for _, p := range some {
		pages = append(pages, p.pages...)
	}
	var got pieces
	g.Go(func() (err error) {
		got, err = s.b.fetch(inner, pages)
		return err
	})
	for _, p := range some {
		if p.g == nil {
			g.Go(func() (err error) {
				p.g, err = s.b.rowGroup(inner, s.t, p.group, nil)
				p.size -= numbersOf(&s.t.Groups[p.group]).size
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return fn(some, got)
}
