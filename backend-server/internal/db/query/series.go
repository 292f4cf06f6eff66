package query

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
)

// SeriesSelection says which time series are wanted. The Range of Selection is
// not used: the grid says which profiles count.
type SeriesSelection struct {
	Selection
	Grid    series.Grid
	GroupBy []string // labels kept; without any there is one series
	Average bool     // mean of the profiles of a step instead of their sum
	Limit   int      // the largest series only; 0 is all
}

func (s *SeriesSelection) builder() *series.Builder {
	how := series.Sum
	if s.Average {
		how = series.Average
	}
	return series.NewBuilder(s.Grid, s.GroupBy, how)
}

// TimeSeries answers one question with an Engine that is new.
func TimeSeries(ctx context.Context, qs []Queryable, sel SeriesSelection) ([]series.Series, error) {
	return NewEngine(Limits{}).TimeSeries(ctx, qs, sel)
}

// TimeSeries returns totals of profiles over time.
func (e *Engine) TimeSeries(ctx context.Context, qs []Queryable, sel SeriesSelection) ([]series.Series, error) {
	b, err := e.SeriesBuilder(ctx, qs, sel)
	if err != nil {
		return nil, err
	}
	return b.Build(sel.Limit), nil
}

// SeriesBuilder returns totals over time that others can be added to. The limit
// of sel is not applied.
func (e *Engine) SeriesBuilder(ctx context.Context, qs []Queryable, sel SeriesSelection) (*series.Builder, error) {
	sel.Range = sel.Grid.Range()
	memory := e.budget()
	parts, err := each(ctx, overlapping(qs, sel.Range), func(ctx context.Context, q Queryable) (*series.Builder, error) {
		b := sel.builder()
		return b, addSeries(ctx, q, &sel, b, memory)
	})
	if err != nil {
		return nil, err
	}
	out := sel.builder()
	for _, b := range parts {
		out.Merge(b)
	}
	return out, nil
}

// groupedUse is what a query takes of a row series, for one group.
type groupedUse struct {
	group series.GroupID
	use   rowUse
}

func addSeries(ctx context.Context, q Queryable, sel *SeriesSelection, b *series.Builder, memory *budget) error {
	list, err := q.Select(ctx, sel.AllMatchers()...)
	if err != nil {
		return err
	}
	plans := makePlans(list)
	if len(plans) < 2 || !IsDistant(q) {
		for _, p := range plans {
			if err := addPartition(ctx, q, sel, b, memory, p, list); err != nil {
				return err
			}
		}
		return nil
	}
	parts := make([]*series.Builder, len(plans))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(AtOnce(q))
	for i, p := range plans {
		parts[i] = sel.builder()
		g.Go(func() error { return addPartition(ctx, q, sel, parts[i], memory, p, list) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, part := range parts {
		b.Merge(part)
	}
	return nil
}

// addPartition adds the rows of one partition, whose series are in list, sorted
// by partition.
func addPartition(ctx context.Context, q Queryable, sel *SeriesSelection, b *series.Builder, memory *budget, p *plan, list []Series) error {
	uses := map[uint32][]groupedUse{}
	from, _ := slices.BinarySearchFunc(list, p.partition, func(s Series, partition uint32) int { return cmp.Compare(s.Partition, partition) })
	for _, s := range list[from:] {
		if s.Partition != p.partition {
			break
		}
		uses[s.Rows] = append(uses[s.Rows], groupedUse{b.Group(s.Labels), rowUse{rows: s.Rows, base: !s.Scaled, scaled: s.Scaled}})
	}
	values, err := newRowValues(ctx, q, p, &sel.Selection)
	if err != nil {
		return err
	}
	grown := seriesBudget{of: b, budget: memory, accounted: b.Bytes()}
	err = q.Scan(ctx, values.request(p), func(row *Row) error {
		if err := grown.check(ctx); err != nil {
			return err
		}
		v := values.of(row)
		if v == 0 {
			return nil
		}
		for _, u := range uses[row.Rows] {
			b.AddTo(u.group, row.Time, u.use.value(v, row.Unit))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return grown.account()
}

// seriesBudget looks now and then at what a Builder has grown by, and at the
// context.
type seriesBudget struct {
	of        *series.Builder
	budget    *budget
	rows      int
	accounted int64
}

// rowsPerCheck is how many rows are added between two looks.
const rowsPerCheck = 1 << 10

func (s *seriesBudget) check(ctx context.Context) error {
	if s.rows++; s.rows%rowsPerCheck != 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.account()
}

func (s *seriesBudget) account() error {
	size := s.of.Bytes()
	grown := size - s.accounted
	s.accounted = size
	return s.budget.take(grown)
}

// rowValues tells what a row counts for under a selection: its total, or the
// part of it that lies in certain stacks or spans.
type rowValues struct {
	sel    *Selection
	filter *callSiteFilter
}

func newRowValues(ctx context.Context, q Queryable, p *plan, sel *Selection) (*rowValues, error) {
	v := &rowValues{sel: sel}
	if sel.CallSite == nil {
		return v, nil
	}
	t, err := q.Symbols(ctx, p.partition)
	if err != nil {
		return nil, err
	}
	v.filter = newCallSiteFilter(t, sel.CallSite)
	return v, nil
}

func (v *rowValues) request(p *plan) ScanRequest {
	req := p.request(v.sel.Range)
	req.Spans = v.sel.Spans != nil
	req.TotalsOnly = v.filter == nil && !req.Spans
	return req
}

func (v *rowValues) of(row *Row) int64 {
	if v.filter == nil && v.sel.Spans == nil {
		return row.Total
	}
	total := int64(0)
	add := func(stack uint32, value int64) {
		if v.filter == nil || v.known(stack) && v.filter.keeps(stack) {
			total, _ = profile.AddSaturating(total, value)
		}
	}
	if v.sel.Spans == nil {
		for i, stack := range row.Stacks {
			add(stack, row.Values[i])
		}
		return total
	}
	for _, s := range row.Spans {
		if slices.Contains(v.sel.Spans, s.SpanID) {
			add(s.Stack, s.Value)
		}
	}
	return total
}

// known reports whether the symbols the filter was made from cover the stack;
// a head may have grown since. Such a stack belongs to a profile that came
// after the query began.
func (v *rowValues) known(stack uint32) bool { return int(stack) < len(v.filter.t.Stacks) }
