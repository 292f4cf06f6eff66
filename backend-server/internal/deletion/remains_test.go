package deletion_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

var ctx = context.Background()

func equals(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

// rule draws one. Now and then it is about all series, or all times.
func rule(rng *rand.Rand) deletion.Rule {
	draw := func() []*labels.Matcher {
		return [][]*labels.Matcher{
			{equals("pod", string(rune('a'+rng.IntN(4))))}, {labels.MustNewMatcher(labels.MatchRegexp, "pod", "a|b|x.*"), equals("half", "0")},
			{labels.MustNewMatcher(labels.MatchNotEqual, "pod", "a")}, {equals("unknown", "")},
		}[rng.IntN(4)]
	}
	r := deletion.Rule{ID: ulid.Make(), Range: span(rng)}
	if rng.IntN(3) > 0 {
		r.Matchers = draw()
	}
	if rng.IntN(3) == 0 {
		r.Except = append(r.Except, draw())
	}
	if rng.IntN(4) == 0 {
		r.Range.Start = deletion.BeginningOfTime
	}
	return r
}

func span(rng *rand.Rand) profile.TimeRange {
	a, b := rng.Int64N(10*int64(step)), rng.Int64N(10*int64(step))
	if rng.IntN(2) == 0 {
		a, b = a-a%int64(step), b-b%int64(step)
	}
	return profile.TimeRange{Start: profile.UnixMilli(min(a, b)), End: profile.UnixMilli(max(a, b))}
}

// left is what of a unit's rows no rule concerns.
func left(u *unit, rules deletion.Rules) *unit {
	out := &unit{pods: u.pods, digest: true}
	for _, row := range u.rows {
		if !rules.Deletes(labelsOf(row.Rows, "cpu"), row.Time) {
			out.rows = append(out.rows, row)
		}
	}
	return out
}

func rowsOf(t *testing.T, q query.Queryable, rows []uint32, r profile.TimeRange) (out []query.Row) {
	require.NoError(t, q.Scan(ctx, query.ScanRequest{Rows: rows, Range: r}, func(row *query.Row) error {
		out = append(out, *row)
		return nil
	}))
	return out
}

func rowSeries(t *testing.T, q query.Queryable, ms ...*labels.Matcher) (out []uint32) {
	series, err := q.Select(ctx, ms...)
	require.NoError(t, err)
	for _, s := range series {
		out = append(out, s.Rows)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A unit under rules is the unit that never had what they delete, however it is
// read (X1).
func TestRemainsAreWhatNoRuleConcerns(t *testing.T) {
	sums, digests := 0, 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		u := newUnit(rng)
		var rules deletion.Rules
		for range 1 + rng.IntN(4) {
			rules = append(rules, rule(rng))
		}
		var inner query.Queryable = u
		if rng.IntN(2) == 0 {
			u.grows = rng.IntN(2) == 0
			inner = head{u}
		}
		q := rules.Over([]query.Queryable{inner})[0]
		_, grows := q.(interface{ Growing() bool })
		_, grew := inner.(head)
		require.Equal(t, grew, grows)
		want := left(u, rules)
		require.Equal(t, u.Origin(), q.Origin())

		if rng.IntN(2) == 0 { // as a query does; Scan has to know by itself otherwise
			ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "pod", "[ab]")}
			got, all := rowSeries(t, q, ms...), rowSeries(t, want, ms...)
			for _, n := range all {
				require.Contains(t, got, n, "seed %d", seed)
			}
			for _, n := range got {
				has := rowsOf(t, u, []uint32{n}, u.TimeRange())
				require.NotEmpty(t, has)
			}
		}
		r := span(rng)
		require.Equal(t, rowsOf(t, want, u.present(), r), rowsOf(t, q, u.present(), r), "seed %d", seed)
		has := q.TimeRange()
		for _, row := range want.rows {
			require.True(t, has.Contains(row.Time), "seed %d", seed)
		}
		compareListed(t, seed, rules.Listed([]query.Queryable{inner}, r)[0], want, r)
		sums += compareSums(t, seed, q, want, rng)
		digests += compareDigests(t, seed, q, u, want)
	}
	require.Greater(t, sums, 300)
	require.Greater(t, digests, 300)
}

// compareListed looks whether series are listed of which something is left, and
// no others; where digests tell, those with rows in the same hour may be.
func compareListed(t *testing.T, seed uint64, q query.Queryable, want *unit, r profile.TimeRange) {
	if !q.TimeRange().Overlaps(r) {
		return
	}
	got := rowSeries(t, q)
	for _, row := range want.rows {
		if r.Contains(row.Time) {
			require.Contains(t, got, row.Rows, "seed %d", seed)
		}
	}
	for _, n := range got {
		require.NotEmpty(t, rowsOf(t, want, []uint32{n}, profile.TimeRange{Start: 0, End: 10 * step}), "seed %d", seed)
	}
}

// compareSums compares the sums of whole windows, if there are any.
func compareSums(t *testing.T, seed uint64, q query.Queryable, want *unit, rng *rand.Rand) int {
	summed, ok := q.(query.Summed)
	require.True(t, ok)
	groups, err := summed.Groups(ctx, 0)
	require.NoError(t, err)
	begin := profile.UnixMilli(rng.IntN(5)) * step
	r := profile.TimeRange{Start: begin, End: begin + step*profile.UnixMilli(1+rng.IntN(5)) - 1}
	var got int64
	done, err := summed.ScanSums(ctx, 0, groups[0], r, func(row *query.Row) error {
		got += row.Total
		return nil
	})
	require.NoError(t, err)
	if !done {
		require.Zero(t, got)
		return 0
	}
	require.EqualValues(t, len(rowsOf(t, want, groups[0].Rows, r)), got, "seed %d", seed)
	return 1
}

func compareDigests(t *testing.T, seed uint64, q query.Queryable, u, want *unit) int {
	got, ok, err := q.(query.Digested).Digests(ctx, 0, u.present())
	require.NoError(t, err)
	require.Equal(t, u.digest, ok)
	if !ok {
		return 0
	}
	all, _, err := want.Digests(ctx, 0, u.present())
	require.NoError(t, err)
	require.ElementsMatch(t, all, got, "seed %d", seed)
	require.True(t, slices.IsSortedFunc(got, func(a, b query.RowsDigest) int {
		if a.Rows != b.Rows {
			return int(a.Rows) - int(b.Rows)
		}
		return int(a.Window - b.Window)
	}))
	return 1
}

func TestUnitsThatNoRuleConcernsStayThemselves(t *testing.T) {
	u := &unit{rows: []query.Row{{Time: 100}, {Time: 200}}}
	before := deletion.Rules{{Range: profile.TimeRange{Start: 0, End: 99}}}
	units := []query.Queryable{u, head{u}}
	require.Equal(t, units, deletion.Rules(nil).Over(units))
	require.Equal(t, units, before.Over(units))
	u.grows = true
	require.Same(t, u, before.Over(units)[0])
	require.NotEqual(t, head{u}, before.Over(units)[1], "rows of that time may still come")
	at := deletion.Rules{{Range: profile.TimeRange{Start: 0, End: 100}}}
	require.NotEqual(t, units[0], at.Over(units)[0])
}

// What comes while a unit is read is deleted as well, also in series that were
// not there when it was first looked at (X2).
func TestWhatComesLaterIsDeleted(t *testing.T) {
	u := &unit{pods: 3, grows: true, rows: []query.Row{{Rows: 0, Time: 100, ID: 1}, {Rows: 2, Time: 100, ID: 2}}}
	rules := deletion.Rules{{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "pod", "b|c")}, Range: profile.TimeRange{Start: 0, End: 150}}}
	q := rules.Over([]query.Queryable{head{u}})[0]
	require.Equal(t, []uint32{0}, rowSeries(t, q), "of pod b everything is deleted")
	all := profile.TimeRange{End: 1000}
	first := rowsOf(t, q, []uint32{0, 2}, all)
	require.Len(t, first, 1)

	groups, err := q.(query.Summed).Groups(ctx, 0)
	require.NoError(t, err)
	u.rows = append(u.rows, query.Row{Rows: 4, Time: 120, ID: 3}, query.Row{Rows: 4, Time: 151, ID: 4}, query.Row{Rows: 0, Time: 90, ID: 5})
	require.Equal(t, []uint32{0, 2, 4}, rowSeries(t, q), "the unit has got longer")
	got := rowsOf(t, q, []uint32{0, 2, 4}, all)
	require.Equal(t, []uint64{1, 5, 4}, []uint64{got[0].ID, got[1].ID, got[2].ID})
	done, err := q.(query.Summed).ScanSums(ctx, 0, groups[0], profile.TimeRange{End: step - 1}, nil)
	require.NoError(t, err)
	require.False(t, done, "sums hold what is deleted")
}

// Whole row series that are deleted are not read.
func TestWhatIsDeletedIsNotRead(t *testing.T) {
	u := &unit{pods: 2, rows: []query.Row{{Rows: 0, Time: 100}, {Rows: 2, Time: 100}, {Rows: 2, Time: 300}}}
	rules := deletion.Rules{{Matchers: []*labels.Matcher{equals("pod", "b")}, Range: profile.TimeRange{Start: 0, End: 200}}}
	q := rules.Over([]query.Queryable{u})[0]
	rowsOf(t, q, []uint32{0, 2}, profile.TimeRange{Start: 50, End: 150})
	require.Equal(t, []uint32{0}, u.asked[0].Rows)
	rowsOf(t, q, []uint32{2}, profile.TimeRange{Start: 50, End: 150})
	require.Len(t, u.asked, 1)
}

func TestRangeWithoutWhatIsDeletedOfAll(t *testing.T) {
	u := &unit{rows: []query.Row{{Time: 100}, {Time: 200}}}
	rangeOf := func(rules ...deletion.Rule) profile.TimeRange {
		return deletion.Rules(rules).Over([]query.Queryable{u})[0].TimeRange()
	}
	all := func(start, end profile.UnixMilli) deletion.Rule {
		return deletion.Rule{Range: profile.TimeRange{Start: start, End: end}}
	}
	some := all(0, 1000)
	some.Except = [][]*labels.Matcher{{equals("a", "b")}}
	require.Equal(t, profile.TimeRange{Start: 121, End: 179}, rangeOf(some, all(110, 120), all(0, 109), all(180, 300), all(150, 160)))
	require.Equal(t, profile.TimeRange{Start: 100, End: 200}, rangeOf(some, all(101, 199)))
	empty := rangeOf(all(0, 150), all(151, 200))
	require.Greater(t, empty.Start, empty.End)
	require.False(t, empty.Overlaps(profile.TimeRange{Start: 0, End: 1000}))
}

// A revision depends on what rules do to the unit, and on nothing else (X3).
func TestRevision(t *testing.T) {
	u := &unit{rows: []query.Row{{Time: 100}, {Time: 200}}}
	revision := func(rules ...deletion.Rule) uint64 {
		return deletion.Rules(rules).Over([]query.Queryable{u})[0].(interface{ Revision() uint64 }).Revision()
	}
	a := deletion.Rule{ID: ulid.ULID{1}, Matchers: []*labels.Matcher{equals("a", "b")}, Range: profile.TimeRange{Start: 0, End: 150}}
	b := deletion.Rule{ID: ulid.ULID{2}, Range: profile.TimeRange{Start: 150, End: 300}}
	first := revision(a, b)
	elsewhere, other := a, b
	elsewhere.Range.Start, elsewhere.ID, elsewhere.Reason = -5, ulid.ULID{3}, "another"
	other.Range = profile.TimeRange{Start: 300, End: 400}
	require.Equal(t, first, revision(b, a))
	require.Equal(t, first, revision(elsewhere, b, a, other))
	for name, change := range map[string]func(*deletion.Rule){
		"range": func(r *deletion.Rule) { r.Range.End = 151 },
		"label": func(r *deletion.Rule) { r.Matchers = []*labels.Matcher{equals("ab", "")} },
		"matcher": func(r *deletion.Rule) {
			r.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "a", "b")}
		},
		"except": func(r *deletion.Rule) { r.Except = [][]*labels.Matcher{r.Matchers} },
	} {
		changed := a
		change(&changed)
		require.NotEqual(t, first, revision(changed, b), name)
	}
	require.NotEqual(t, first, revision(a))
	require.NotZero(t, revision(b))
}
