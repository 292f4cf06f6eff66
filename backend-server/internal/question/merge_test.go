package question

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

func TestMergeOfListings(t *testing.T) {
	a := &Answer{
		Texts: []string{"a", "c"}, Sets: []labels.Labels{labels.FromStrings("a", "1"), labels.FromStrings("b", "1")},
		Types: []profile.Type{{Name: "b"}, {Name: "c"}}, Stats: query.Stats{Ingested: true, Oldest: 5, Newest: 6}, Impact: query.Impact{Series: 1, Profiles: 2, Samples: 3, Bytes: 4},
	}
	b := &Answer{
		Texts: []string{"b", "c"}, Sets: []labels.Labels{labels.FromStrings("a", "0"), labels.FromStrings("b", "1")},
		Types: []profile.Type{{Name: "a"}, {Name: "c"}}, Stats: query.Stats{Ingested: true, Oldest: 2, Newest: 3}, Impact: query.Impact{Series: 10, Profiles: 20, Samples: 30, Bytes: 40},
	}
	merge := func(k Kind, parts ...*Answer) *Answer {
		got, err := Merge(&Question{Kind: k}, parts)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, &Answer{Texts: []string{"a", "b", "c"}}, merge(LabelNames, a, b))
	require.Equal(t, &Answer{Texts: []string{"a", "b", "c"}}, merge(LabelValues, b, a))
	require.Equal(t, &Answer{Sets: []labels.Labels{labels.FromStrings("a", "0"), labels.FromStrings("a", "1"), labels.FromStrings("b", "1")}}, merge(LabelSets, a, b))
	require.Equal(t, &Answer{Types: []profile.Type{{Name: "a"}, {Name: "b"}, {Name: "c"}}}, merge(Types, a, b))
	require.Equal(t, &Answer{Stats: query.Stats{Ingested: true, Oldest: 2, Newest: 6}}, merge(Stats, a, &Answer{}, b))
	require.Equal(t, &Answer{Impact: query.Impact{Series: 11, Profiles: 22, Samples: 33, Bytes: 44}}, merge(Analyze, a, b))
	require.Equal(t, &Answer{}, merge(LabelNames))
	require.Equal(t, []string{"a", "c"}, a.Texts, "parts stay as they are")

	_, err := Merge(&Question{Kind: 99}, nil)
	require.ErrorContains(t, err, "kind 99")
	_, err = Merge(&Question{Kind: Tree}, []*Answer{{Unchanged: true}})
	require.ErrorContains(t, err, "has not changed")
}

func TestMergeOfTrees(t *testing.T) {
	one := func(name string, v int64) *Answer {
		out := tree.New()
		out.Add(out.Child(tree.Root, out.Name(name)), v)
		return &Answer{Tree: out}
	}
	q := &Question{Kind: Tree}
	got, err := Merge(q, nil)
	require.NoError(t, err)
	require.Zero(t, got.Tree.Total())

	a, b := one("a", 1), one("b", 2)
	got, err = Merge(q, []*Answer{a, b, a})
	require.NoError(t, err)
	require.Equal(t, []tree.Function{{Name: "a", Self: 2, Total: 2}, {Name: "b", Self: 2, Total: 2}}, got.Tree.Functions())
	require.EqualValues(t, 1, a.Tree.Total(), "parts stay as they are")

	got, err = Merge(q, []*Answer{one("a", math.MaxInt64), a})
	require.NoError(t, err)
	require.True(t, got.Tree.Saturated)
	require.EqualValues(t, math.MaxInt64, got.Tree.Total())
}

// TestMergeOfSeriesCutInTime: what grids that are parts of a grid count is what
// the grid itself counts, the mean of a point whole in one of them included.
func TestMergeOfSeriesCutInTime(t *testing.T) {
	for _, average := range []bool{false, true} {
		q := &Question{Kind: Series, Grid: series.Grid{Start: 1000, End: 4700, StepMillis: 500}, GroupBy: []string{"a"}, Average: average}
		left, right := *q, *q
		left.Grid.End, right.Grid.Start = 2500, 3000
		require.Equal(t, left.Grid.Range().End+1, right.Grid.Range().Start)
		whole := series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation())
		parts := []*Answer{
			{Series: series.NewBuilder(left.Grid, q.GroupBy, q.Aggregation())},
			{Series: series.NewBuilder(right.Grid, q.GroupBy, q.Aggregation())},
		}
		for i := range int64(5000) {
			ls := labels.FromStrings("a", string(rune('x'+i%2)))
			for _, b := range []*series.Builder{whole, parts[0].Series, parts[1].Series} {
				b.Add(ls, profile.UnixMilli(i), i*i%997)
			}
		}
		got, err := Merge(q, parts)
		require.NoError(t, err)
		require.Equal(t, whole.Build(0), got.Series.Build(0))
	}
}
