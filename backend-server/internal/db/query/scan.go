package query

import (
	"context"
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// overlapping returns the Queryables that may hold profiles of r. A zero range
// stands for all times.
func overlapping(qs []Queryable, r profile.TimeRange) []Queryable {
	if r == (profile.TimeRange{}) {
		return qs
	}
	var out []Queryable
	for _, q := range qs {
		if q.TimeRange().Overlaps(r) {
			out = append(out, q)
		}
	}
	return out
}

// each calls fn for every Queryable, some at a time, and returns the results
// in their order.
func each[T any](ctx context.Context, qs []Queryable, fn func(ctx context.Context, q Queryable) (T, error)) ([]T, error) {
	out := make([]T, len(qs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(AtOnce(qs...))
	for i, q := range qs {
		g.Go(func() (err error) {
			out[i], err = fn(ctx, q)
			return err
		})
	}
	return out, g.Wait()
}

// part is what a query reads of one partition of one unit.
type part struct {
	*plan
	unit  Queryable
	index int // among the parts of the query
}

// sumParts sums what sel selects by stack, partition by partition, some at a
// time, and calls done, at the same time as well, for each that has any sum.
// What done is given it has to release.
func sumParts(ctx context.Context, qs []Queryable, sel *Selection, b *budget, done func(context.Context, *part, *stackSums) error) error {
	matchers := sel.AllMatchers()
	plans, err := each(ctx, overlapping(qs, sel.Range), func(ctx context.Context, q Queryable) ([]*part, error) {
		series, err := q.Select(ctx, matchers...)
		if err != nil {
			return nil, err
		}
		var out []*part
		for _, p := range makePlans(series) {
			out = append(out, &part{plan: p, unit: q})
		}
		return out, nil
	})
	if err != nil {
		return err
	}
	parts := slices.Concat(plans...)
	for i, p := range parts {
		p.index = i
	}
	r := reader{sel: sel, budget: b, ways: max(1, runtime.GOMAXPROCS(0)/max(1, len(parts)))}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(AtOnce(qs...))
	for _, p := range parts {
		sum := r.sum
		if IsDistant(p.unit) {
			sum = r.sumDistant
		}
		g.Go(func() error {
			sums, err := sum(ctx, p)
			if err != nil || sums.sums == nil {
				return err
			}
			return done(ctx, p, sums)
		})
	}
	return g.Wait()
}

// reader sums the rows of parts.
type reader struct {
	sel    *Selection
	budget *budget
	ways   int // goroutines that one part is worth
}

func (r *reader) sums() *stackSums {
	return &stackSums{sel: r.sel, budget: r.budget, unread: samplesPerCheck}
}

// sum sums what is selected of one part: whole windows where they have been
// summed in advance, and row by row what is left.
func (r *reader) sum(ctx context.Context, p *part) (*stackSums, error) {
	sums, rest, err := r.windows(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, some := range rest {
		if err := r.rows(ctx, p, some, sums); err != nil {
			return nil, err
		}
	}
	if sums.sums == nil {
		return sums, nil
	}
	if sums.table, err = p.unit.Symbols(ctx, p.partition); err != nil {
		return nil, err
	}
	return sums, r.budget.take(TableBytes(sums.table))
}

// reading is rows that have to be read.
type reading struct {
	uses []rowUse
	in   profile.TimeRange
}

// leastRows is how many row series must be left for a goroutine of their own.
const leastRows = 16

// rows adds rows one by one, in several goroutines if there are many series. The
// array of the first is into's.
func (r *reader) rows(ctx context.Context, p *part, some reading, into *stackSums) error {
	ways := min(r.ways, len(some.uses)/leastRows)
	if ways < 2 {
		return r.scan(ctx, p, some, into)
	}
	g, inner := errgroup.WithContext(ctx)
	sums := make([]*stackSums, ways)
	for i := range sums {
		sums[i] = into
		if i > 0 {
			sums[i] = r.sums()
		}
		share := reading{some.uses[i*len(some.uses)/ways : (i+1)*len(some.uses)/ways], some.in}
		g.Go(func() error { return r.scan(inner, p, share, sums[i]) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, s := range sums[1:] {
		into.merge(s)
		s.release()
	}
	return nil
}

func (r *reader) scan(ctx context.Context, p *part, some reading, into *stackSums) error {
	if len(some.uses) == 0 {
		return nil
	}
	req := ScanRequest{Partition: p.partition, Rows: rowsOf(some.uses), Range: some.in, Spans: r.sel.Spans != nil}
	use := some.uses[0]
	return p.unit.Scan(ctx, req, func(row *Row) error {
		if err := into.check(ctx, len(row.Stacks)); err != nil {
			return err
		}
		if row.Rows != use.rows {
			i, _ := find(some.uses, row.Rows)
			use = some.uses[i]
		}
		return into.addRow(row, use)
	})
}

// inOrder returns what was found for each part, by index, in their order.
func inOrder(found map[int]*stackSums) []*stackSums {
	out := make([]*stackSums, 0, len(found))
	for _, i := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[i])
	}
	return out
}
