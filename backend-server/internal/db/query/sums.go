package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

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
}

// AllMatchers returns the matchers with one more, for the profile type.
func (s *Selection) AllMatchers() []*labels.Matcher {
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
	service   string
	uses      []rowUse // ascending rows
}

func (p *plan) request(r profile.TimeRange) ScanRequest {
	return ScanRequest{Partition: p.partition, Range: r, Rows: rowsOf(p.uses)}
}

func rowsOf(uses []rowUse) []uint32 {
	out := make([]uint32, len(uses))
	for i, u := range uses {
		out[i] = u.rows
	}
	return out
}

func find(uses []rowUse, rows uint32) (int, bool) {
	return slices.BinarySearchFunc(uses, rows, func(u rowUse, rows uint32) int { return cmp.Compare(u.rows, rows) })
}

// makePlans groups series by partition and row series.
func makePlans(series []Series) []*plan {
	slices.SortFunc(series, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Rows, b.Rows))
	})
	var out []*plan
	for _, s := range series {
		if len(out) == 0 || out[len(out)-1].partition != s.Partition {
			out = append(out, &plan{partition: s.Partition, service: s.Labels.Get(profile.LabelServiceName)})
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

// stackSums are sums of one partition by stack.
type stackSums struct {
	table *symbols.Table
	sums  []int64 // by stack; may be shorter than the table's list, or longer
	// saturated says that a sum was clipped at the largest 64-bit value.
	saturated bool

	sel    *Selection
	budget *budget
	unread int // samples until the next look at the context
}

// samplesPerCheck is how many samples are summed between looks at the context.
const samplesPerCheck = 1 << 14

// check looks at the context now and then; n samples are about to be added.
func (s *stackSums) check(ctx context.Context, n int) error {
	s.unread -= n + 1
	if s.unread > 0 {
		return nil
	}
	s.unread = samplesPerCheck
	return ctx.Err()
}

// reach makes room for the sum of a stack.
func (s *stackSums) reach(stack uint32) error {
	if int(stack) < len(s.sums) {
		return nil
	}
	more := int(stack) + 1 - len(s.sums) + len(s.sums)/2
	if err := s.budget.take(int64(more) * bytesPerSum); err != nil {
		return err
	}
	s.sums = widened(s.sums, more)
	return nil
}

func (s *stackSums) addRow(row *Row, use rowUse) error {
	if s.sel.ProfileIDs != nil && !slices.Contains(s.sel.ProfileIDs, row.ID) {
		return nil
	}
	if s.sel.Spans != nil {
		return s.addSpans(row, use)
	}
	if len(row.Stacks) == 0 {
		return nil
	}
	if err := s.reach(row.Stacks[len(row.Stacks)-1]); err != nil {
		return err
	}
	if use.scaled {
		for i, stack := range row.Stacks {
			s.add(stack, use.value(row.Values[i], row.Unit))
		}
		return nil
	}
	for i, stack := range row.Stacks {
		s.add(stack, row.Values[i])
	}
	return nil
}

func (s *stackSums) add(stack uint32, v int64) {
	sum, clipped := profile.AddSaturating(s.sums[stack], v)
	s.sums[stack] = sum
	s.saturated = s.saturated || clipped
}

func (s *stackSums) addSpans(row *Row, use rowUse) error {
	for _, sample := range row.Spans {
		if slices.Contains(s.sel.Spans, sample.SpanID) {
			if err := s.reach(sample.Stack); err != nil {
				return err
			}
			s.add(sample.Stack, use.value(sample.Value, row.Unit))
		}
	}
	return nil
}

// merge adds the sums of another part of the same rows.
func (s *stackSums) merge(o *stackSums) {
	if len(o.sums) > len(s.sums) {
		s.sums, o.sums = o.sums, s.sums
	}
	for stack, v := range o.sums {
		if v != 0 {
			s.add(uint32(stack), v)
		}
	}
	s.saturated = s.saturated || o.saturated
}

// release gives the array of sums back. They must not be used any more.
func (s *stackSums) release() {
	recycle(s.sums)
	s.sums = nil
}

// values returns the sums, by stack, of the stacks that the table has. Further
// ones belong to profiles that came after the query began.
func (s *stackSums) values() []int64 { return s.sums[:min(len(s.sums), len(s.table.Stacks))] }

// cut is values without those outside the call site.
func (s *stackSums) cut(callSite []string) []int64 {
	sums := s.values()
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
