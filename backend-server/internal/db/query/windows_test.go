package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

var typ = profile.Type{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"}

// unit is a partition in memory: rows of one stack each, and their sums by
// window. It notes what is read.
type unit struct {
	Queryable // the methods that nobody calls

	t      *testing.T
	series []Series
	groups []Group
	rows   []Row // of the stacks that they are numbered by, modulo stacks
	has    profile.TimeRange

	refuse  bool                // another row series has come since Groups
	during  func()              // called before sums are read
	read    int                 // rows that Scan returned
	summed  int                 // rows that sums stood for
	endless bool                // Scan never ends by itself
	ranges  []profile.TimeRange // of sums that were asked for
}

const stacks = 3

func (u *unit) TimeRange() profile.TimeRange { return u.has }

func (u *unit) Select(_ context.Context, matchers ...*labels.Matcher) (out []Series, err error) {
	for _, s := range u.series {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Labels.Get(m.Name)) }) {
			out = append(out, s)
		}
	}
	return out, nil
}

// Symbols returns a table of one function a stack.
func (u *unit) Symbols(context.Context, uint32) (*symbols.Table, error) {
	t := &symbols.Table{Strings: []string{""}, Mappings: []profile.Mapping{{}}, Nodes: []symbols.Node{{}}}
	for i := range uint32(stacks) {
		t.Strings = append(t.Strings, fmt.Sprintf("f%d", i))
		t.Functions = append(t.Functions, profile.Function{Name: i + 1})
		t.Lines = append(t.Lines, profile.Line{Function: i})
		t.Locations = append(t.Locations, profile.Location{LineStart: i, LineEnd: i + 1})
		t.Nodes = append(t.Nodes, symbols.Node{Location: i})
		t.Stacks = append(t.Stacks, i+1)
	}
	return t, nil
}

func (u *unit) Scan(_ context.Context, req ScanRequest, fn func(*Row) error) error {
	for {
		for i := range u.rows {
			if row := u.rows[i]; slices.Contains(req.Rows, row.Rows) && req.Range.Contains(row.Time) {
				u.read++
				if err := fn(&row); err != nil {
					return err
				}
			}
		}
		if !u.endless {
			return nil
		}
	}
}

func (u *unit) Groups(context.Context, uint32) ([]Group, error) { return u.groups, nil }

func (u *unit) ScanSums(_ context.Context, _ uint32, g Group, r profile.TimeRange, fn func(*Row) error) (bool, error) {
	require.Zero(u.t, r.Start%g.Step)
	require.Zero(u.t, (r.End+1)%g.Step)
	require.Less(u.t, r.Start, r.End)
	if u.during != nil {
		u.during()
	}
	if u.refuse {
		return false, nil
	}
	u.ranges = append(u.ranges, r)
	for {
		for i := range u.rows {
			if row := u.rows[i]; slices.Contains(g.Rows, row.Rows) && r.Contains(row.Time) {
				u.summed++
				row.Rows, row.Time = g.Index, row.Time-row.Time%g.Step
				if err := fn(&row); err != nil {
					return true, err
				}
			}
		}
		if !u.endless {
			return true, nil
		}
	}
}

const step = SumWindow

// newUnit returns a unit with two series of two groups each; rows are 100 s
// apart, the first at 1000 windows and a bit.
func newUnit(t *testing.T, rows int) *unit {
	u := &unit{t: t, groups: []Group{{Index: 0, Rows: []uint32{0, 2}, Step: step}, {Index: 1, Rows: []uint32{1, 3}, Step: step}}}
	for i := range uint32(4) {
		ls := labels.FromStrings(profile.LabelProfileType, typ.String(), profile.LabelServiceName, "s", "pod", fmt.Sprint(i/2))
		u.series = append(u.series, Series{Labels: ls, Rows: i, Scaled: i%2 == 1})
	}
	for i := range rows {
		u.add(1000*step + 17 + profile.UnixMilli(i)*100_000)
	}
	return u
}

func (u *unit) add(at profile.UnixMilli) {
	i := len(u.rows)
	v := int64(1) << (i % 40)
	u.rows = append(u.rows, Row{Rows: uint32(i % 4), Time: at, ID: uint64(i), Total: v, Unit: int64(1 + i%3), N: 1, Stacks: []uint32{uint32(i % stacks)}, Values: []int64{v}})
	if len(u.rows) == 1 {
		u.has = profile.TimeRange{Start: at, End: at}
	}
	u.has.Start, u.has.End = min(u.has.Start, at), max(u.has.End, at)
}

// want is the sum of the rows of a range, by function.
func (u *unit) want(r profile.TimeRange, pod string) map[string]int64 {
	out := map[string]int64{}
	for _, row := range u.rows {
		if !r.Contains(row.Time) || pod != "" && pod != fmt.Sprint(row.Rows/2) {
			continue
		}
		v := row.Values[0]
		if row.Rows%2 == 1 {
			v *= row.Unit
		}
		out[fmt.Sprintf("f%d", row.Stacks[0])] += v
	}
	return out
}

func (u *unit) ask(t *testing.T, sel Selection) map[string]int64 {
	t.Helper()
	sel.Type = typ
	sums, err := Functions(t.Context(), []Queryable{u}, sel)
	require.NoError(t, err)
	out := map[string]int64{}
	for _, f := range sums.Functions {
		out[f.Name] = f.Total
	}
	return out
}

func TestWindowsAndEdgesAreTheRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		u := newUnit(t, 40)
		a, b := rng.Int64N(60*100_000), rng.Int64N(60*100_000)
		r := profile.TimeRange{Start: 999*step + profile.UnixMilli(min(a, b)), End: 999*step + profile.UnixMilli(max(a, b))}
		if rng.IntN(4) == 0 {
			r.Start = floor(r.Start, step)
		}
		if rng.IntN(4) == 0 {
			r.End = floor(r.End, step) + step - 1
		}
		u.refuse = rng.IntN(10) == 0
		u.has.Start -= profile.UnixMilli(rng.IntN(3)) * 70_000 // it may be wider
		u.has.End += profile.UnixMilli(rng.IntN(3)) * 70_000
		if rng.IntN(5) == 0 {
			u.groups[1].Step = 0 // no sums
		}
		require.Equal(t, u.want(r, ""), u.ask(t, Selection{Range: r}), "%+v", r)
	}
}

func TestOnlyEdgesAreReadRowByRow(t *testing.T) {
	u := newUnit(t, 400)
	whole := profile.TimeRange{Start: 0, End: 1 << 40}
	require.Equal(t, u.want(whole, ""), u.ask(t, Selection{Range: whole}))
	require.Zero(t, u.read, "the range covers all there is")
	require.Equal(t, 400, u.summed)

	u = newUnit(t, 400)
	part := profile.TimeRange{Start: 1002*step + 1, End: 1050*step + step/2}
	require.Equal(t, u.want(part, ""), u.ask(t, Selection{Range: part}))
	require.Equal(t, []profile.TimeRange{{Start: 1003 * step, End: 1050*step - 1}, {Start: 1003 * step, End: 1050*step - 1}}, u.ranges)
	require.LessOrEqual(t, u.read, 6)
	require.GreaterOrEqual(t, u.summed, 140)
}

func TestSumsAreForWholeGroupsOnly(t *testing.T) {
	whole := profile.TimeRange{Start: 0, End: 1 << 40}
	for name, sel := range map[string]Selection{
		"one pod":     {Range: whole, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "pod", "1")}},
		"profile IDs": {Range: whole, ProfileIDs: []uint64{3, 4}},
		"spans":       {Range: whole, Spans: []uint64{3}},
		"too short":   {Range: profile.TimeRange{Start: 1001*step + 1, End: 1001*step + 200_000}},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, 40)
			got := u.ask(t, sel)
			require.Zero(t, u.summed)
			require.NotZero(t, u.read)
			if sel.Matchers != nil {
				require.Equal(t, u.want(whole, "1"), got)
			}
		})
	}
}

// TestAHeadMayGrowMeanwhile: the last window is taken whole because the unit has
// nothing behind the range; then something comes.
func TestAHeadMayGrowMeanwhile(t *testing.T) {
	for name, late := range map[string]func(r profile.TimeRange) profile.UnixMilli{
		"behind": func(r profile.TimeRange) profile.UnixMilli { return r.End + 50_000 },
		"before": func(r profile.TimeRange) profile.UnixMilli { return r.Start - 5 },
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, 40)
			r := u.has
			want := u.want(r, "")
			u.during = func() {
				u.add(late(r))
				u.during = nil
			}
			require.Equal(t, want, u.ask(t, Selection{Range: r}))
		})
	}
}

func TestAlign(t *testing.T) {
	for _, c := range []struct {
		name         string
		r, has, want profile.TimeRange
	}{
		{"within", profile.TimeRange{Start: 15, End: 44}, profile.TimeRange{Start: 0, End: 99}, profile.TimeRange{Start: 20, End: 39}},
		{"on the windows", profile.TimeRange{Start: 20, End: 39}, profile.TimeRange{Start: 0, End: 99}, profile.TimeRange{Start: 20, End: 39}},
		{"all there is", profile.TimeRange{Start: 15, End: 44}, profile.TimeRange{Start: 15, End: 44}, profile.TimeRange{Start: 10, End: 49}},
		{"more than there is", profile.TimeRange{Start: 0, End: 99}, profile.TimeRange{Start: 25, End: 26}, profile.TimeRange{Start: 20, End: 29}},
		{"all of the end", profile.TimeRange{Start: 15, End: 44}, profile.TimeRange{Start: 0, End: 44}, profile.TimeRange{Start: 20, End: 49}},
		{"before 1970", profile.TimeRange{Start: -15, End: -3}, profile.TimeRange{Start: -15, End: 8}, profile.TimeRange{Start: -20, End: -11}},
		{"no window", profile.TimeRange{Start: 15, End: 28}, profile.TimeRange{Start: 0, End: 99}, profile.TimeRange{}},
		{"nothing there", profile.TimeRange{Start: 15, End: 44}, profile.TimeRange{Start: 1 << 62, End: -1 << 62}, profile.TimeRange{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := align(c.r, c.has, 10)
			require.Equal(t, c.want != profile.TimeRange{}, ok)
			if ok {
				require.Equal(t, c.want, got)
			}
		})
	}
}

// TestCancelEndlessSources cancels while a source that never looks at its
// context delivers row after row.
func TestCancelEndlessSources(t *testing.T) {
	for name, change := range map[string]func(u *unit){
		"rows": func(u *unit) { u.groups = nil },
		"sums": func(*unit) {},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, 40)
			u.endless = true
			change(u)
			ctx, cancel := context.WithCancel(t.Context())
			const before = 50_000
			source := &cancelling{unit: u, after: before, cancel: cancel}
			_, err := Tree(ctx, []Queryable{source}, Selection{Type: typ, Range: profile.TimeRange{End: 1 << 40}})
			require.ErrorIs(t, err, context.Canceled)
			require.LessOrEqual(t, source.rows, before+samplesPerCheck)
		})
	}
}

// cancelling cancels after a number of rows.
type cancelling struct {
	*unit
	rows, after int
	cancel      func()
}

func (c *cancelling) count(fn func(*Row) error) func(*Row) error {
	return func(row *Row) error {
		if c.rows++; c.rows == c.after {
			c.cancel()
		}
		return fn(row)
	}
}

func (c *cancelling) Scan(ctx context.Context, req ScanRequest, fn func(*Row) error) error {
	return c.unit.Scan(ctx, req, c.count(fn))
}

func (c *cancelling) ScanSums(ctx context.Context, p uint32, g Group, r profile.TimeRange, fn func(*Row) error) (bool, error) {
	return c.unit.ScanSums(ctx, p, g, r, c.count(fn))
}
