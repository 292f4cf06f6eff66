package frames_test

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/grafana/grafana-plugin-sdk-go/experimental"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/frames"
	"github.com/hearth-profiles/hearth/pkg/upstream"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

const cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

// example is the API's own: main;a=3, main;b;c=2, main=1.
func example() upstream.FlameGraph {
	return upstream.FlameGraph{
		Names:  []string{"total", "main", "b", "c", "a"},
		Levels: [][]int64{{0, 6, 0, 0}, {0, 6, 1, 1}, {1, 3, 3, 4, 0, 2, 0, 2}, {4, 2, 2, 3}},
		Total:  6, MaxSelf: 3,
	}
}

func TestFlameGraphFrame(t *testing.T) {
	frame, err := frames.FlameGraph(example(), cpu)
	require.NoError(t, err)
	experimental.CheckGoldenJSONResponse(t, "testdata", "flamegraph", &backend.DataResponse{Frames: data.Frames{frame}}, *rewrite)

	empty, err := frames.FlameGraph(upstream.FlameGraph{}, cpu)
	require.NoError(t, err)
	require.Zero(t, empty.Rows())
	require.Len(t, empty.Fields, 4)
}

func TestSeriesFrames(t *testing.T) {
	series := []upstream.Series{
		{Labels: map[string]string{"pod": "a"}, Points: []upstream.Point{{Time: 15000, Value: 1}, {Time: 45000, Value: 2.5}}},
		{Labels: map[string]string{"pod": "b", "env": "x"}, Points: []upstream.Point{{Time: 30000, Value: 3}}},
	}
	experimental.CheckGoldenJSONResponse(t, "testdata", "series",
		&backend.DataResponse{Frames: frames.Series(series, "memory:inuse_space:bytes:space:bytes")}, *rewrite)

	none := frames.Series(nil, cpu)
	require.Len(t, none, 1)
	require.Zero(t, none[0].Rows())
	require.Equal(t, "cpu", none[0].Fields[1].Config.DisplayNameFromDS)
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]string{
		"nanoseconds": "ns", "microseconds": "µs", "milliseconds": "ms", "seconds": "s", "bytes": "bytes", "count": "short", "": "short",
	} {
		require.Equal(t, want, frames.Unit(in))
	}
}

func TestFunctions(t *testing.T) {
	table, err := frames.Functions(example())
	require.NoError(t, err)
	require.Equal(t, []frames.Function{
		{Name: "a", Self: 3, Total: 3},
		{Name: "c", Self: 2, Total: 2},
		{Name: "main", Self: 1, Total: 6},
		{Name: "b", Self: 0, Total: 2},
	}, table)

	// f → g → f → f: f counts once, though it is on the path three times.
	table, err = frames.Functions(upstream.FlameGraph{
		Names:  []string{"total", "f", "g"},
		Levels: [][]int64{{0, 10, 0, 0}, {0, 10, 1, 1}, {1, 9, 2, 2}, {3, 7, 3, 1}, {6, 4, 4, 1}},
		Total:  10,
	})
	require.NoError(t, err)
	require.Equal(t, []frames.Function{{Name: "f", Self: 8, Total: 10}, {Name: "g", Self: 2, Total: 9}}, table)

	table, err = frames.Functions(upstream.FlameGraph{})
	require.NoError(t, err)
	require.Equal(t, []frames.Function{}, table)
}

func TestBrokenLevelsAreRefused(t *testing.T) {
	names := []string{"total", "a"}
	for name, tc := range map[string]struct {
		levels [][]int64
		want   string
	}{
		"odd count":        {[][]int64{{0, 6, 0}}, "level 0: 3 numbers"},
		"two roots":        {[][]int64{{0, 6, 0, 0, 0, 1, 0, 0}}, "level 0: 2 bars"},
		"no root":          {[][]int64{{}}, "level 0: 0 bars"},
		"root not at zero": {[][]int64{{1, 6, 0, 0}}, "starts at 0"},
		"negative total":   {[][]int64{{0, -6, 0, 0}}, "negative number"},
		"negative offset":  {[][]int64{{0, 6, 0, 0}, {-1, 2, 0, 1}}, "negative number"},
		"self over total":  {[][]int64{{0, 6, 7, 0}}, "self 7 is over total 6"},
		"name too high":    {[][]int64{{0, 6, 0, 2}}, "name 2 of 2"},
		"name below zero":  {[][]int64{{0, 6, 0, -1}}, "name -1 of 2"},
		"overflow":         {[][]int64{{0, 6, 0, 0}, {2, math.MaxInt64 - 1, 0, 1}}, "wider than 64 bits"},
		"orphan":           {[][]int64{{0, 6, 0, 0}, {6, 1, 0, 1}}, "level 1: bar 0 has no parent"},
		"orphan level":     {[][]int64{{0, 6, 0, 0}, {}, {0, 1, 0, 1}}, "level 2: bar 0 has no parent"},
		"across an edge":   {[][]int64{{0, 6, 0, 0}, {0, 3, 0, 1, 0, 3, 0, 1}, {2, 2, 0, 1}}, "crosses the edge"},
		"before its edge":  {[][]int64{{0, 6, 0, 0}, {2, 3, 0, 1}, {1, 2, 0, 1}}, "crosses the edge"},
	} {
		t.Run(name, func(t *testing.T) {
			g := upstream.FlameGraph{Names: names, Levels: tc.levels}
			err := frames.Check(g)
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, "data_loss", upstream.AsError(err).Code)
			_, err = frames.FlameGraph(g, cpu)
			require.Error(t, err)
			_, err = frames.Functions(g)
			require.Error(t, err)
		})
	}
}

// tree is the dumb twin: a call tree that encodes itself the slow way.
type tree struct {
	name        int64
	self, total int64
	children    []*tree
}

func randomTree(r *rand.Rand, depth int) *tree {
	n := &tree{name: r.Int64N(5), self: r.Int64N(3)}
	n.total = n.self
	for range r.IntN(4) {
		if depth > 0 {
			c := randomTree(r, depth-1)
			n.children = append(n.children, c)
			n.total += c.total
		}
	}
	return n
}

func (n *tree) encode(g *upstream.FlameGraph, ends []int64, level int, start int64) {
	if len(g.Levels) == level {
		g.Levels = append(g.Levels, nil)
	}
	g.Levels[level] = append(g.Levels[level], start-ends[level], n.total, n.self, n.name)
	ends[level] = start + n.total
	start += n.self
	for _, c := range n.children {
		c.encode(g, ends, level+1, start)
		start += c.total
	}
}

func (n *tree) rows(level int64, out *[][4]int64) {
	*out = append(*out, [4]int64{level, n.total, n.self, n.name})
	for _, c := range n.children {
		if c.total > 0 {
			c.rows(level+1, out)
		}
	}
}

func TestNestedSetIsTheTree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		root := randomTree(r, 6)
		g := upstream.FlameGraph{Names: []string{"0", "1", "2", "3", "4"}, Total: root.total}
		root.encode(&g, make([]int64, 8), 0, 0)
		frame, err := frames.FlameGraph(g, cpu)
		require.NoError(t, err)

		var want, got [][4]int64
		root.rows(0, &want)
		for i := range frame.Rows() {
			row := [4]int64{frame.At(0, i).(int64), frame.At(1, i).(int64), frame.At(2, i).(int64), int64(slices.Index(g.Names, frame.At(3, i).(string)))}
			if i == 0 || row[1] > 0 { // where a bar of width zero hangs is not known
				got = append(got, row)
			}
		}
		require.Equal(t, want, got)
	}
}

func FuzzLevels(f *testing.F) {
	f.Add([]byte{0, 6, 0, 0, 255, 0, 6, 1, 1, 255, 1, 3, 3, 4, 0, 2, 0, 2})
	f.Fuzz(func(t *testing.T, raw []byte) {
		g := upstream.FlameGraph{Names: []string{"total", "a", "b", "c", "d"}, Levels: [][]int64{{}}}
		for _, b := range raw {
			if b == 255 {
				g.Levels = append(g.Levels, nil)
				continue
			}
			last := len(g.Levels) - 1
			g.Levels[last] = append(g.Levels[last], int64(int8(b)))
		}
		frame, err := frames.FlameGraph(g, cpu)
		if err != nil {
			return
		}
		var bars int
		for _, l := range g.Levels {
			bars += len(l) / 4
		}
		require.Equal(t, bars, frame.Rows())
		_, err = frames.Functions(g)
		require.NoError(t, err)
	})
}
