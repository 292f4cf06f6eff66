package query

import (
	"cmp"
	"context"
	"runtime"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Selection says which samples a query is about.
type Selection struct {
	Type     profile.Type
	Matchers []*labels.Matcher // all must match; none matches everything
	Range    profile.TimeRange // of the profiles' times
	// CallSite keeps the stacks that begin with these functions, the root
	// first. Nil keeps all.
	CallSite []string
	// Spans keeps what was sampled within these spans. Nil keeps all.
	Spans []uint64
	// ProfileIDs keeps the profiles with these row IDs. Nil keeps all.
	ProfileIDs []uint64
	// MaxNodes is the size of the answer that is wanted, as a hint; 0 is no
	// limit.
	MaxNodes int64
}

func (s *Selection) matchers() []*labels.Matcher {
	return append(slices.Clip(s.Matchers), labels.MustNewMatcher(labels.MatchEqual, profile.LabelProfileType, s.Type.String()))
}

// rowUse says what a query takes from the rows of a row series.
type rowUse struct {
	rows         uint32
	base, scaled bool
}

// value returns what v, a number of the row, counts for. It fits: the engine
// stores two sample types in one row only where their totals do.
func (u rowUse) value(v, unit int64) int64 {
	switch {
	case !u.scaled:
		return v
	case u.base:
		sum, _ := profile.AddSaturating(v*unit, v)
		return sum
	}
	return v * unit
}

// plan is what a query reads of one partition of one Queryable.
type plan struct {
	partition uint32
	uses      []rowUse // ascending rows
}

func (p *plan) request(r profile.TimeRange) ScanRequest {
	req := ScanRequest{Partition: p.partition, Range: r, Rows: make([]uint32, len(p.uses))}
	for i, u := range p.uses {
		req.Rows[i] = u.rows
	}
	return req
}

func (p *plan) use(rows uint32) rowUse {
	i, _ := slices.BinarySearchFunc(p.uses, rows, func(u rowUse, rows uint32) int { return cmp.Compare(u.rows, rows) })
	return p.uses[i]
}

// makePlans groups series by partition and row series.
func makePlans(series []Series) []*plan {
	slices.SortFunc(series, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Rows, b.Rows))
	})
	var out []*plan
	for _, s := range series {
		if len(out) == 0 || out[len(out)-1].partition != s.Partition {
			out = append(out, &plan{partition: s.Partition})
		}
		p := out[len(out)-1]
		if len(p.uses) == 0 || p.uses[len(p.uses)-1].rows != s.Rows {
			p.uses = append(p.uses, rowUse{rows: s.Rows})
		}
		u := &p.uses[len(p.uses)-1]
		u.base, u.scaled = u.base || !s.Scaled, u.scaled || s.Scaled
	}
	return out
}

// stackSums are the sums of one partition by stack.
type stackSums struct {
	table *symbols.Table
	sums  []int64 // by stack; may be shorter than the table's list
	// saturated says that a sum was clipped at the largest 64-bit value.
	saturated bool
}

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
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, q := range qs {
		g.Go(func() (err error) {
			out[i], err = fn(ctx, q)
			return err
		})
	}
	return out, g.Wait()
}

// sumStacks sums what sel selects of one Queryable.
func sumStacks(ctx context.Context, q Queryable, sel *Selection) ([]stackSums, error) {
	series, err := q.Select(ctx, sel.matchers()...)
	if err != nil {
		return nil, err
	}
	var out []stackSums
	for _, p := range makePlans(series) {
		s, err := sumPartition(ctx, q, p, sel)
		if err != nil {
			return nil, err
		}
		if s.sums != nil {
			out = append(out, s)
		}
	}
	return out, nil
}

func sumPartition(ctx context.Context, q Queryable, p *plan, sel *Selection) (stackSums, error) {
	var out stackSums
	req := p.request(sel.Range)
	req.Spans = sel.Spans != nil
	err := q.Scan(ctx, req, func(row *Row) error {
		if sel.ProfileIDs != nil && !slices.Contains(sel.ProfileIDs, row.ID) {
			return nil
		}
		use := p.use(row.Rows)
		if sel.Spans != nil {
			out.addSpans(row, use, sel.Spans)
			return nil
		}
		out.addRow(row, use)
		return nil
	})
	if err != nil || out.sums == nil {
		return stackSums{}, err
	}
	out.table, err = q.Symbols(ctx, p.partition)
	return out, err
}

func (s *stackSums) reach(stack uint32) {
	if int(stack) >= len(s.sums) {
		s.sums = append(s.sums, make([]int64, int(stack)+1-len(s.sums)+len(s.sums)/2)...)
	}
}

func (s *stackSums) addRow(row *Row, use rowUse) {
	if len(row.Stacks) == 0 {
		return
	}
	s.reach(row.Stacks[len(row.Stacks)-1])
	for i, stack := range row.Stacks {
		s.add(stack, use.value(row.Values[i], row.Unit))
	}
}

func (s *stackSums) add(stack uint32, v int64) {
	sum, clipped := profile.AddSaturating(s.sums[stack], v)
	s.sums[stack] = sum
	s.saturated = s.saturated || clipped
}

func (s *stackSums) addSpans(row *Row, use rowUse, spans []uint64) {
	for _, sample := range row.Spans {
		if slices.Contains(spans, sample.SpanID) {
			s.reach(sample.Stack)
			s.add(sample.Stack, use.value(sample.Value, row.Unit))
		}
	}
}

// cut clears the sums of stacks that a block's list does not have and of those
// outside the call site. It returns the sums, no longer than the list.
func (s *stackSums) cut(callSite []string) []int64 {
	sums := s.sums[:min(len(s.sums), len(s.table.Stacks))]
	if callSite == nil {
		return sums
	}
	f := newCallSiteFilter(s.table, callSite)
	for stack := range sums {
		if sums[stack] != 0 && !f.keeps(uint32(stack)) {
			sums[stack] = 0
		}
	}
	return sums
}

// callSiteFilter tells which stacks begin with certain functions.
type callSiteFilter struct {
	t        *symbols.Table
	callSite []string
	known    map[uint32]bool
	path     []uint32
}

func newCallSiteFilter(t *symbols.Table, callSite []string) *callSiteFilter {
	return &callSiteFilter{t: t, callSite: callSite, known: map[uint32]bool{}}
}

func (f *callSiteFilter) keeps(stack uint32) bool {
	keep, known := f.known[stack]
	if !known {
		keep = f.matches(f.t.Stacks[stack])
		f.known[stack] = keep
	}
	return keep
}

func (f *callSiteFilter) matches(node uint32) bool {
	f.path = f.path[:0]
	for ; node != 0; node = f.t.Nodes[node].Parent {
		f.path = append(f.path, f.t.Nodes[node].Location)
	}
	rest := f.callSite
	for i := len(f.path) - 1; i >= 0 && len(rest) > 0; i-- {
		l := f.t.Locations[f.path[i]]
		for j := l.LineEnd; j > l.LineStart && len(rest) > 0; j-- {
			if f.t.FunctionName(f.t.Lines[j-1].Function) != rest[0] {
				return false
			}
			rest = rest[1:]
		}
	}
	return len(rest) == 0
}
