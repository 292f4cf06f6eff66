package series

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func TestGrid(t *testing.T) {
	g := Grid{Start: 100, End: 250, StepMillis: 60}
	require.Equal(t, profile.TimeRange{Start: 41, End: 250}, g.Range())
	for at, want := range map[profile.UnixMilli]profile.UnixMilli{41: 100, 99: 100, 100: 100, 101: 160, 160: 160, 161: 220, 220: 220, 221: 280, 250: 280} {
		require.Equal(t, want, g.Bucket(at), "time %d", at)
	}
	require.EqualValues(t, 4, g.Points())
	require.EqualValues(t, 1, Grid{Start: 5, End: 5, StepMillis: 1}.Points())
}

func values(all []Series) map[string]map[int64]float64 {
	out := map[string]map[int64]float64{}
	for _, s := range all {
		points := map[int64]float64{}
		for _, p := range s.Points {
			points[int64(p.Time)] = p.Value
		}
		out[s.Labels.String()] = points
	}
	return out
}

func fill(agg Aggregation, groupBy ...string) *Builder {
	b := NewBuilder(Grid{Start: 0, End: 30, StepMillis: 10}, groupBy, agg)
	for _, v := range []struct {
		service, pod string
		at           profile.UnixMilli
		value        int64
	}{
		{"a", "1", 10, 5}, {"a", "2", 9, 1}, {"a", "1", 1, 3}, {"a", "1", 0, 4}, {"a", "1", -9, 2},
		{"b", "1", 25, 7}, {"b", "3", 30, 7}, {"b", "1", 10, 1},
		{"b", "1", -10, 100}, {"b", "1", 31, 100}, // outside
	} {
		b.Add(labels.FromStrings("service", v.service, "pod", v.pod), v.at, v.value)
	}
	return b
}

func TestBuild(t *testing.T) {
	require.Equal(t, map[string]map[int64]float64{
		`{}`: {0: 6, 10: 10, 30: 14},
	}, values(fill(Sum).Build(0)))
	require.Equal(t, map[string]map[int64]float64{
		`{service="a"}`: {0: 6, 10: 9},
		`{service="b"}`: {10: 1, 30: 14},
	}, values(fill(Sum, "service", "service").Build(0)))
	require.Equal(t, map[string]map[int64]float64{
		`{service="a"}`: {0: 3, 10: 3},
		`{service="b"}`: {10: 1, 30: 7},
	}, values(fill(Average, "service").Build(0)))
	require.Equal(t, map[string]map[int64]float64{
		`{}`: {0: 6, 10: 10, 30: 14},
	}, values(fill(Sum, "no such label").Build(0)))
	require.Empty(t, NewBuilder(Grid{StepMillis: 1}, nil, Sum).Build(0))
}

func TestLimitTakesTheLargest(t *testing.T) {
	b := NewBuilder(Grid{Start: 0, End: 10, StepMillis: 10}, []string{"x"}, Sum)
	for x, v := range map[string]int64{"a": 1, "b": 1<<53 + 1, "c": 1 << 53, "d": 1, "e": 0} {
		b.Add(labels.FromStrings("x", x), 3, v)
	}
	var got []string
	for _, s := range b.Build(4) {
		got = append(got, s.Labels.Get("x"))
	}
	require.Equal(t, []string{"b", "c", "a", "d"}, got)
	require.Len(t, b.Build(0), 5)
}

func TestSumsSaturate(t *testing.T) {
	b := NewBuilder(Grid{Start: 0, End: 10, StepMillis: 10}, nil, Sum)
	b.Add(labels.EmptyLabels(), 5, math.MaxInt64)
	b.Add(labels.EmptyLabels(), 0, 1)
	b.Add(labels.EmptyLabels(), 6, 1)
	require.Equal(t, float64(math.MaxInt64), b.Build(1)[0].Points[1].Value)
}

// TestTwin adds random values in random order, in two builders that are then
// merged, and compares with a plain map.
func TestTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	grid := Grid{Start: 1000, End: 30_000, StepMillis: 7}
	a, b := NewBuilder(grid, []string{"x"}, Sum), NewBuilder(grid, []string{"x"}, Sum)
	want := map[string]map[int64]float64{}
	for i := range 50_000 {
		ls := labels.FromStrings("x", string(rune('a'+r.IntN(3))), "y", string(rune('a'+r.IntN(3))))
		at := profile.UnixMilli(994 + r.IntN(29_007))
		v := int64(r.IntN(100))
		[]*Builder{a, b}[i%2].Add(ls, at, v)
		name := labels.FromStrings("x", ls.Get("x")).String()
		if want[name] == nil {
			want[name] = map[int64]float64{}
		}
		point := int64(1000)
		for point < int64(at) {
			point += 7
		}
		want[name][point] += float64(v)
	}
	a.Merge(b)
	got := a.Build(0)
	require.Equal(t, want, values(got))
	for _, s := range got {
		for i, p := range s.Points[1:] {
			require.Greater(t, p.Time, s.Points[i].Time)
		}
	}
}

func BenchmarkAddTo(b *testing.B) {
	bld := NewBuilder(Grid{Start: 0, End: 1 << 40, StepMillis: 15_000}, []string{"x"}, Sum)
	id := bld.Group(labels.FromStrings("x", "y"))
	var t profile.UnixMilli
	for b.Loop() {
		t += 5000
		bld.AddTo(id, t%3_600_000, 5)
	}
}
