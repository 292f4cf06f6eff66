package query

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
)

// Distant is implemented by units whose content lies far away, so that each
// read is a round trip: what is read of one, and of several, is asked for at
// once rather than in turn. A unit that shows part of another one passes on
// what that says.
type Distant interface{ Distant() bool }

// IsDistant reports whether a unit's content lies far away.
func IsDistant(q Queryable) bool {
	d, ok := q.(Distant)
	return ok && d.Distant()
}

// distantAtOnce is how many units, or parts of units, are read at a time if
// they are far away: who reads them mostly waits.
const distantAtOnce = 64

// AtOnce is how many goroutines may read units, or parts of them, at a time.
func AtOnce(qs ...Queryable) int {
	n := runtime.GOMAXPROCS(0)
	for _, q := range qs {
		if IsDistant(q) {
			return max(n, distantAtOnce)
		}
	}
	return n
}

// distantSums gathers what several goroutines have summed of one part.
type distantSums struct {
	*reader
	part *part

	mu   sync.Mutex
	into *stackSums
}

// sumDistant is sum for a part that lies far away: all that can be needed of it
// is asked for at once. What it is a part of does not grow.
func (r *reader) sumDistant(ctx context.Context, p *part) (*stackSums, error) {
	list, left, err := r.summable(ctx, p)
	if err != nil {
		return nil, err
	}
	d := &distantSums{reader: r, part: p, into: r.sums()}
	g, ctx := errgroup.WithContext(ctx)
	var table *symbols.Table
	g.Go(func() (err error) {
		table, err = p.unit.Symbols(ctx, p.partition)
		return err
	})
	for _, s := range list {
		g.Go(func() error { return d.group(ctx, s) })
	}
	g.Go(func() error {
		sums := r.sums()
		defer d.add(sums)
		return r.scan(ctx, p, reading{left, r.sel.Range}, sums)
	})
	if err := g.Wait(); err != nil || d.into.sums == nil {
		return d.into, err
	}
	d.into.table = table
	return d.into, r.budget.take(TableBytes(table))
}

// add adds sums, which must not be used any more.
func (d *distantSums) add(s *stackSums) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.into.merge(s)
	s.release()
}

// group adds a group: the sums of its windows, and the rows around them.
func (d *distantSums) group(ctx context.Context, s summing) error {
	g, inner := errgroup.WithContext(ctx)
	sums := make([]*stackSums, 1+len(s.edges))
	for i := range sums {
		sums[i] = d.sums()
	}
	done := false
	g.Go(func() (err error) {
		done, err = d.scanSums(inner, d.part, s, sums[0])
		return err
	})
	for i, edge := range s.edges {
		g.Go(func() error { return d.scan(inner, d.part, edge, sums[1+i]) })
	}
	err := g.Wait()
	if err == nil && !done {
		for _, some := range sums {
			some.release()
		}
		sums = []*stackSums{d.sums()}
		err = d.scan(ctx, d.part, reading{s.uses, d.sel.Range}, sums[0])
	}
	for _, some := range sums {
		d.add(some)
	}
	return err
}
