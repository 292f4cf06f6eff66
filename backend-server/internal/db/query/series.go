package query

import (
	"context"
	"slices"

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
	how := series.Sum
	if sel.Average {
		how = series.Average
	}
	parts, err := each(ctx, overlapping(qs, sel.Range), func(ctx context.Context, q Queryable) (*series.Builder, error) {
		b := series.NewBuilder(sel.Grid, sel.GroupBy, how)
		return b, addSeries(ctx, q, &sel, b, memory)
	})
	if err != nil {
		return nil, err
	}
	out := series.NewBuilder(sel.Grid, sel.GroupBy, how)
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
	type rowsKey struct{ partition, rows uint32 }
	uses := map[rowsKey][]groupedUse{}
	for _, s := range list {
		key := rowsKey{s.Partition, s.Rows}
		uses[key] = append(uses[key], groupedUse{b.Group(s.Labels), rowUse{rows: s.Rows, base: !s.Scaled, scaled: s.Scaled}})
	}
	grown := seriesBudget{of: b, budget: memory}
	for _, p := range makePlans(list) {
		values, err := newRowValues(ctx, q, p, &sel.Selection)
		if err != nil {
			return err
		}
		err = q.Scan(ctx, values.request(p), func(row *Row) error {
			if err := grown.check(ctx); err != nil {
				return err
			}
			v := values.of(row)
			if v == 0 {
				return nil
			}
			for _, u := range uses[rowsKey{p.partition, row.Rows}] {
				b.AddTo(u.group, row.Time, u.use.value(v, row.Unit))
			}
			return nil
		})
		if err != nil {
			return err
		}
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
