package flamegraph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// parse reads stacks written as "main;a 3", one a line; ";" alone is no frames.
func parse(text string) *tree.Tree {
	t := tree.New()
	for line := range strings.Lines(text) {
		var stack string
		var v int64
		if n, _ := fmt.Sscan(strings.TrimSpace(line), &stack, &v); n < 2 {
			continue
		}
		n := tree.Root
		for f := range strings.SplitSeq(stack, ";") {
			if f != "" {
				n = t.Child(n, t.Name(f))
			}
		}
		t.Add(n, v)
	}
	return t
}

func TestFromTree(t *testing.T) {
	g := FromTree(parse(`
		main;a 3
		main;b;c 2
		main 1`))
	require.Equal(t, &Graph{
		Names: []string{"total", "main", "a", "b", "c"},
		Levels: [][]int64{
			{0, 6, 0, 0},
			{0, 6, 1, 1},
			{1, 3, 3, 2, 0, 2, 0, 3},
			{4, 2, 2, 4},
		},
		Total: 6, MaxSelf: 3,
	}, g)
}

func TestFromTreeWithoutFrames(t *testing.T) {
	g := FromTree(parse(`
		; 5
		main 1
		total;other 2`))
	require.Equal(t, []string{"total", "main", "total", "other"}, g.Names)
	require.Equal(t, [][]int64{{0, 8, 5, 0}, {5, 1, 1, 1, 0, 2, 0, 2}, {6, 2, 2, 3}}, g.Levels)
	require.EqualValues(t, 5, g.MaxSelf)
}

func TestFromEmptyTree(t *testing.T) {
	require.Equal(t, &Graph{Names: []string{"total"}, Levels: [][]int64{{0, 0, 0, 0}}}, FromTree(tree.New()))
}

func TestRemainderIsCalledOther(t *testing.T) {
	g := FromTree(parse(`
		main;a 30
		main;b;x 2
		main;c 1`).Truncate(2))
	require.Equal(t, []string{"total", "main", "a", "other"}, g.Names)
	require.Equal(t, [][]int64{{0, 33, 0, 0}, {0, 33, 0, 1}, {0, 30, 30, 2, 0, 3, 3, 3}}, g.Levels)
}

func TestSaturatedBarsStayInTheirParents(t *testing.T) {
	big := parse(fmt.Sprintf("a %d\nb;x %d\nb 7\nc 5", math.MaxInt64-1, int64(math.MaxInt64)))
	g := FromTree(big)
	require.True(t, g.Saturated)
	require.EqualValues(t, math.MaxInt64, g.Total)
	requireNested(t, g.Levels, 4, 0)

	d, err := Diff(big, parse("a 1"), 0)
	require.NoError(t, err)
	require.True(t, d.Saturated)
	requireNested(t, d.Levels, 7, 0)
	requireNested(t, d.Levels, 7, 3)
}

// requireNested checks that every bar lies within a bar of the level above.
func requireNested(t *testing.T, levels [][]int64, size, at int) {
	t.Helper()
	type span struct{ from, to int64 }
	var above []span
	for depth, level := range levels {
		var row []span
		var x int64
		for i := 0; i < len(level); i += size {
			offset, total, self := level[i+at], level[i+at+1], level[i+at+2]
			require.GreaterOrEqual(t, offset, int64(0))
			require.LessOrEqual(t, self, total)
			row = append(row, span{x + offset, x + offset + total})
			x += offset + total
			require.GreaterOrEqual(t, x, int64(0), "no overflow")
		}
		for _, s := range row {
			inside := depth == 0
			for _, p := range above {
				inside = inside || p.from <= s.from && s.to <= p.to
			}
			require.True(t, inside, "level %d: %v lies in none of %v", depth, s, above)
		}
		above = row
	}
}

func TestDiff(t *testing.T) {
	d, err := Diff(parse(`
		main;a 3
		main;b 1`), parse(`
		main;b;c 2
		main 5
		; 1`), 0)
	require.NoError(t, err)
	require.Equal(t, &DiffGraph{
		Graph: Graph{
			Names: []string{"total", "main", "a", "b", "c"},
			Levels: [][]int64{
				{0, 4, 0, 0, 8, 1, 0},
				{0, 4, 0, 1, 7, 5, 1},
				{0, 3, 3, 6, 0, 0, 2, 0, 1, 1, 0, 2, 0, 3},
				{4, 0, 0, 6, 2, 2, 4},
			},
			Total: 12, MaxSelf: 5,
		},
		LeftTotal: 4, RightTotal: 8,
	}, d)
}

func TestDiffCutsByBothSides(t *testing.T) {
	d, err := Diff(parse("a 5\nb 4\nc 1"), parse("b 4\nd 6\nc 1"), 2)
	require.NoError(t, err)
	require.Equal(t, []string{"total", "b", "d", "other"}, d.Names)
	require.Equal(t, [][]int64{
		{0, 10, 0, 0, 11, 0, 0},
		{0, 4, 4, 0, 4, 4, 1, 0, 0, 0, 0, 6, 6, 2, 0, 6, 6, 0, 1, 1, 3},
	}, d.Levels)
}

func TestDiffOfNothing(t *testing.T) {
	d, err := Diff(tree.New(), tree.New(), 100)
	require.NoError(t, err)
	require.Equal(t, [][]int64{{0, 0, 0, 0, 0, 0, 0}}, d.Levels)
	require.Equal(t, []string{"total"}, d.Names)
}

func TestDiffRefusesNegativeValues(t *testing.T) {
	_, err := Diff(parse("a -5"), parse("a 5"), 0)
	require.True(t, fault.Is(err, fault.Invalid))
	require.ErrorContains(t, err, "left")
	_, err = Diff(parse("a 5"), parse("a -1"), 0)
	require.ErrorContains(t, err, "right")
}

func TestDiffTwin(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 5))
		random := func() *tree.Tree {
			tr := tree.New()
			for range r.IntN(100) {
				n := tree.Root
				for range r.IntN(6) {
					n = tr.Child(n, tr.Name(string(rune('a'+r.IntN(4)))))
				}
				tr.Add(n, int64(r.IntN(9)))
			}
			return tr
		}
		left, right, most := random(), random(), r.IntN(60)
		d, err := Diff(left, right, most)
		require.NoError(t, err)
		require.Equal(t, left.Total(), d.LeftTotal)
		require.Equal(t, right.Total(), d.RightTotal)
		require.Equal(t, d.LeftTotal+d.RightTotal, d.Total)
		requireNested(t, d.Levels, 7, 0)
		requireNested(t, d.Levels, 7, 3)
		var leftSelf, rightSelf int64
		for _, level := range d.Levels {
			for i := 0; i < len(level); i += 7 {
				leftSelf += level[i+2]
				rightSelf += level[i+5]
			}
		}
		require.Equal(t, d.LeftTotal, leftSelf)
		require.Equal(t, d.RightTotal, rightSelf)

		// A tree against nothing is the tree's own graph.
		alone, err := Diff(left, tree.New(), most)
		require.NoError(t, err)
		own := FromTree(left.Truncate(most))
		require.Equal(t, own.Names, alone.Names)
		for depth, level := range own.Levels {
			var four []int64
			for i := 0; i < len(alone.Levels[depth]); i += 7 {
				four = append(four, alone.Levels[depth][i], alone.Levels[depth][i+1], alone.Levels[depth][i+2], alone.Levels[depth][i+6])
			}
			require.Equal(t, level, four)
		}
	}
}
