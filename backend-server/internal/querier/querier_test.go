package querier

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

const cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

// unit holds one profile of one frame.
type unit struct {
	name   string
	origin query.Origin
	value  int64
}

var _ query.Queryable = (*unit)(nil)

func (u *unit) Origin() query.Origin { return u.origin }

func (u *unit) TimeRange() profile.TimeRange { return profile.TimeRange{Start: 100, End: 200} }

func (u *unit) Select(_ context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	ls := labels.FromStrings(profile.LabelProfileType, cpu, "unit", u.name)
	for _, m := range matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return nil, nil
		}
	}
	return []query.Series{{Labels: ls}}, nil
}

func (u *unit) Symbols(context.Context, uint32) (*symbols.Table, error) {
	return &symbols.Table{
		Strings:   []string{"", "f"},
		Mappings:  []profile.Mapping{{}},
		Functions: []profile.Function{{Name: 1}},
		Lines:     []profile.Line{{}},
		Locations: []profile.Location{{LineEnd: 1}},
		Nodes:     []symbols.Node{{}, {}},
		Stacks:    []uint32{1},
	}, nil
}

func (u *unit) Scan(_ context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	row := &query.Row{Time: 150, ID: 1, Total: u.value, Unit: 1}
	if !req.TotalsOnly {
		row.Stacks, row.Values = []uint32{0}, []int64{u.value}
	}
	return fn(row)
}

func id(n byte) ulid.ULID { return ulid.ULID{15: n} }

func head(n byte) *unit { return &unit{name: "head", origin: query.Origin{ID: id(n)}, value: 1} }

func block(name string, n, parent byte) *unit {
	u := &unit{name: name, origin: query.Origin{ID: id(n)}, value: 1}
	if parent > 0 {
		u.origin.Parent = id(parent)
	}
	return u
}

// store shows the same units to everybody and counts views that are open.
type store struct {
	units  []query.Queryable
	open   int
	err    error
	tenant string
	r      profile.TimeRange
	after  *store // must have been asked before
	asked  bool
}

func (s *store) view(_ context.Context, tenantID string, r profile.TimeRange) ([]query.Queryable, func(), error) {
	s.tenant, s.r, s.asked = tenantID, r, true
	if s.after != nil && !s.after.asked {
		return nil, nil, errors.New("asked out of turn")
	}
	if s.err != nil {
		return nil, nil, s.err
	}
	s.open++
	return s.units, func() { s.open-- }, nil
}

// alone returns a Querier over stores.
func alone(stores ...*store) *Querier {
	var views []replica.View
	for _, s := range stores {
		views = append(views, replica.ByRange(s.view))
	}
	return New(NewAlone(NewEngine(Config{}), views...))
}

func names(units []query.Queryable) []string {
	out := []string{}
	for _, u := range units {
		out = append(out, u.(*unit).name)
	}
	return out
}

func TestDistinct(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []query.Queryable
		want []string
	}{
		{"nothing", nil, []string{}},
		{"a head alone", []query.Queryable{head(1)}, []string{"head"}},
		{"a head and a block of another head", []query.Queryable{head(1), block("b", 2, 9)}, []string{"head", "b"}},
		{"a head and its block", []query.Queryable{head(1), block("b", 2, 1)}, []string{"head"}},
		{"a block before its head", []query.Queryable{block("b", 2, 1), head(1)}, []string{"head"}},
		{"a head and all its blocks", []query.Queryable{block("b", 2, 1), head(1), block("c", 3, 1), block("d", 4, 7)}, []string{"head", "d"}},
		{"a block and its copy", []query.Queryable{block("local", 2, 1), block("bucket", 2, 1)}, []string{"local"}},
		{"a head, its block and the copy", []query.Queryable{head(1), block("local", 2, 1), block("bucket", 2, 1)}, []string{"head"}},
		{"blocks without parents", []query.Queryable{block("a", 2, 0), block("b", 3, 0)}, []string{"a", "b"}},
		{"two blocks of one head", []query.Queryable{block("a", 2, 1), block("b", 3, 1)}, []string{"a", "b"}},
		{"order is kept", []query.Queryable{block("c", 5, 0), block("a", 3, 0), block("b", 4, 0), block("a2", 3, 0)}, []string{"c", "a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, names(distinct(c.in))) })
	}
}

// TestDistinctCountsEveryProfileOnce plays the life of heads: each is cut into
// a block, the block is copied to the bucket, the head goes, the local block
// goes. Whatever a query meets, it finds each head's data exactly once.
func TestDistinctCountsEveryProfileOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var early, late []query.Queryable
		heads := 1 + r.IntN(6)
		for h := range heads {
			headID, blockID := byte(2*h+1), byte(2*h+2)
			stage := r.IntN(5)
			if stage <= 2 {
				early = append(early, head(headID))
			}
			if stage >= 1 && stage <= 3 {
				early = append(early, block("local", blockID, headID))
			}
			if stage >= 2 {
				late = append(late, block("bucket", blockID, headID))
			}
		}
		r.Shuffle(len(early), func(i, j int) { early[i], early[j] = early[j], early[i] })
		require.Len(t, distinct(append(early, late...)), heads)
	}
}

func anonymous() context.Context { return tenant.With(context.Background(), tenant.Anonymous) }

func TestAnswersFromAllStoresOnce(t *testing.T) {
	ingester := &store{units: []query.Queryable{head(1), block("local", 4, 3)}}
	gateway := &store{units: []query.Queryable{block("b", 2, 1), block("bucket", 4, 3), block("old", 6, 5)}, after: ingester}
	q := alone(ingester, gateway)
	typ, err := profile.ParseType(cpu)
	require.NoError(t, err)
	r := profile.TimeRange{Start: 100, End: 200}
	sel := query.Selection{Type: typ, Range: r}

	answer := func(what question.Question) *question.Answer {
		a, err := q.Ask(anonymous(), &what)
		require.NoError(t, err)
		return a
	}
	require.EqualValues(t, 3, answer(question.Question{Kind: question.Tree, Selection: sel}).Tree.Total())
	require.Equal(t, tenant.Anonymous, gateway.tenant)
	require.Equal(t, r, gateway.r)
	require.Equal(t, []int64{3}, answer(question.Question{Kind: question.Profile, Selection: sel}).Profile.Values)

	grid := series.Grid{Start: 200, End: 210, StepMillis: 60}
	points := answer(question.Question{Kind: question.Series, Selection: sel, Grid: grid}).Series.Build(0)
	require.Equal(t, []series.Point{{Time: 200, Value: 3}}, points[0].Points)
	require.Equal(t, grid.Range(), ingester.r)

	require.Equal(t, []string{"head", "local", "old"}, answer(question.Question{Kind: question.LabelValues, Label: "unit", Range: r}).Texts)
	require.Equal(t, []string{profile.LabelProfileType, "unit"}, answer(question.Question{Kind: question.LabelNames, Range: r}).Texts)
	require.Len(t, answer(question.Question{Kind: question.LabelSets, Names: []string{"unit"}, Range: r}).Sets, 3)
	require.Equal(t, []profile.Type{typ}, answer(question.Question{Kind: question.Types, Range: r}).Types)
	require.Equal(t, query.Stats{Ingested: true, Oldest: 100, Newest: 200}, answer(question.Question{Kind: question.Stats, Range: r}).Stats)
	require.EqualValues(t, 3, answer(question.Question{Kind: question.Analyze, Range: r}).Impact.Profiles)

	require.Zero(t, ingester.open)
	require.Zero(t, gateway.open)
}

func TestErrors(t *testing.T) {
	ingester, gateway := &store{}, &store{err: fault.New(fault.Unavailable, "starting")}
	q := alone(ingester, gateway)
	_, err := q.Ask(anonymous(), &question.Question{Kind: question.Types})
	require.True(t, fault.Is(err, fault.Unavailable))
	require.Zero(t, ingester.open, "released although the next store failed")

	_, err = q.Ask(context.Background(), &question.Question{Kind: question.Types})
	require.True(t, fault.Is(err, fault.Unauthenticated))
}

func TestNoStoreHasData(t *testing.T) {
	q := alone(&store{}, &store{})
	got, err := q.Ask(anonymous(), &question.Question{Kind: question.Tree})
	require.NoError(t, err)
	require.Zero(t, got.Tree.Total())
	merged, err := q.Ask(anonymous(), &question.Question{Kind: question.Profile})
	require.NoError(t, err)
	require.Empty(t, merged.Profile.Samples)
}
