package query_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

const start = profile.UnixMilli(1_700_000_100_000) // a multiple of the window

var firstSeed = flag.Uint64("query.seed", 1, "first seed of TestAnswersDoNotDependOnTheSpread; 0 draws one")

var everything = profile.TimeRange{Start: start, End: start + 10*3_600_000}

// place is a database and an engine that has been asked about it before.
type place struct {
	name   string
	db     *db.DB
	engine *query.Engine
	flush  func(i int) bool // after the i-th record
}

func open(t *testing.T) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// TestAnswersDoNotDependOnTheSpread puts the same records into databases that
// spread them over heads and blocks in different ways, and asks all of them,
// while they grow, the same questions. The answers are those of the twin: also
// those of an engine that forgets everything between two questions.
func TestAnswersDoNotDependOnTheSpread(t *testing.T) {
	first, seeds := dbtest.Seed(t, "query.seed", *firstSeed), uint64(3)
	if testing.Short() { // under the race detector, where it is slow
		seeds = 1
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			places := []*place{
				{name: "one head", engine: query.NewEngine(query.Limits{}), flush: func(int) bool { return false }},
				{name: "many blocks", engine: query.NewEngine(query.Limits{}), flush: func(i int) bool { return i%20 == 19 }},
				{name: "forgetful", engine: query.NewEngine(query.Limits{CallBytes: 1}), flush: func(i int) bool { return i%70 == 69 }},
			}
			for _, p := range places {
				p.db = open(t)
			}
			gen := dbtest.Generator{Rng: rng, Start: start, Length: (2 * time.Hour).Milliseconds()}
			var twin dbtest.Twin
			for i := range 200 {
				rec := gen.Record()
				twin.Add(rec)
				for _, p := range places {
					require.Nil(t, p.db.Append(t.Context(), []profile.Record{rec}))
					if p.flush(i) {
						require.NoError(t, p.db.Flush(t.Context()))
					}
				}
				if i%10 == 9 {
					compare(t, places, &twin, selection(rng, gen.Length))
				}
			}
			for range 20 {
				compare(t, places, &twin, selection(rng, gen.Length))
			}
		})
	}
}

// selection returns a question. Half of the ranges begin and end with windows,
// some reach beyond all data, and many take whole services.
func selection(rng *rand.Rand, length int64) query.Selection {
	a, b := rng.Int64N(length), rng.Int64N(length)
	sel := query.Selection{
		Type:  dbtest.Types[rng.IntN(len(dbtest.Types))],
		Range: profile.TimeRange{Start: start + profile.UnixMilli(min(a, b)), End: start + profile.UnixMilli(max(a, b))},
	}
	if rng.IntN(2) == 0 {
		sel.Range.Start -= sel.Range.Start % query.SumWindow
		sel.Range.End += query.SumWindow - sel.Range.End%query.SumWindow - 1
	}
	if rng.IntN(4) == 0 {
		sel.Range = everything
	}
	if rng.IntN(2) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchEqual, "service_name", dbtest.Services[rng.IntN(3)]))
	}
	if rng.IntN(4) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchRegexp, "pod", "pod-[01]"))
	}
	if rng.IntN(4) == 0 {
		sel.CallSite = []string{fmt.Sprintf("fn%d", rng.IntN(12))}
	}
	if rng.IntN(6) == 0 {
		sel.Spans = dbtest.Spans[:1+rng.IntN(2)]
	}
	return sel
}

func compare(t *testing.T, places []*place, twin *dbtest.Twin, sel query.Selection) {
	t.Helper()
	want := twin.Tree(sel)
	cut := map[int]dbtest.Stacks{}
	for _, p := range places {
		view := p.db.View(sel.Range)
		defer view.Release()
		got, err := p.engine.Tree(t.Context(), "tenant", view.Units, sel)
		require.NoError(t, err)
		require.Equal(t, want, dbtest.FlattenTree(got), "%s: tree of %+v", p.name, sel)
		requireExact(t, got, want)
		for _, nodes := range []int{1, 3, 10, 50} {
			c := dbtest.FlattenTree(got.Truncate(nodes))
			if cut[nodes] == nil {
				cut[nodes] = c
			}
			require.Equal(t, cut[nodes], c, "%s: %d nodes of %+v", p.name, nodes, sel)
		}
		sums, err := p.engine.Functions(t.Context(), "tenant", view.Units, sel)
		require.NoError(t, err)
		requireFunctions(t, want, sums)
		merged, err := p.engine.Profile(t.Context(), view.Units, sel)
		require.NoError(t, err)
		require.Equal(t, twin.Profile(sel), dbtest.FlattenProfile(merged), "%s: profile of %+v", p.name, sel)
	}
}

// requireExact compares the total of every node that a cut keeps with the sum
// of the stacks that pass through it, and the root's with the sum of all.
func requireExact(t *testing.T, whole *tree.Tree, stacks dbtest.Stacks) {
	t.Helper()
	all := int64(0)
	for _, v := range stacks {
		all += v
	}
	for _, nodes := range []int{2, 8, 30} {
		cut := whole.Truncate(nodes)
		totals := cut.Totals()
		require.Equal(t, all, totals[tree.Root])
		paths := make([]string, cut.Len())
		for n := tree.NodeID(1); int(n) < cut.Len(); n++ {
			paths[n] = paths[cut.Parent(n)] + cut.Label(cut.NameOf(n)) + ";"
			if cut.NameOf(n) == tree.Remainder {
				continue
			}
			sum := int64(0)
			for stack, v := range stacks {
				if strings.HasPrefix(stack+";", paths[n]) {
					sum += v
				}
			}
			require.Equal(t, sum, totals[n], paths[n])
		}
	}
}

// requireFunctions compares the sums by function with those of the stacks, each
// counted once for a function.
func requireFunctions(t *testing.T, stacks dbtest.Stacks, got *query.FunctionSums) {
	t.Helper()
	want := map[string]tree.Function{}
	total := int64(0)
	for stack, v := range stacks {
		total += v
		if stack == "" {
			continue
		}
		frames := strings.Split(stack, ";")
		leaf := want[frames[len(frames)-1]]
		leaf.Self += v
		want[frames[len(frames)-1]] = leaf
		slices.Sort(frames)
		for _, name := range slices.Compact(frames) {
			f := want[name]
			f.Name, f.Total = name, f.Total+v
			want[name] = f
		}
	}
	require.Equal(t, total, got.Total)
	require.ElementsMatch(t, slices.Collect(maps.Values(want)), got.Functions)
	require.True(t, slices.IsSortedFunc(got.Functions, func(a, b tree.Function) int { return int(b.Total - a.Total) }))

	top := got.Top(3, true)
	self := top.RestSelf
	for _, f := range top.Functions {
		self += f.Self
	}
	require.Equal(t, total-stacks[""], self, "own values of all functions are the total but for samples without a frame")
	require.Equal(t, len(want), len(top.Functions)+top.RestFunctions)
}

// filled returns a database with a head and a block.
func filled(t *testing.T) *db.DB {
	d := open(t)
	gen := dbtest.Generator{Rng: rand.New(rand.NewPCG(1, 1)), Start: start, Length: (2 * time.Hour).Milliseconds()}
	for range 2 {
		var recs []profile.Record
		for range 100 {
			recs = append(recs, gen.Record())
		}
		require.NoError(t, d.Flush(t.Context()))
		require.Nil(t, d.Append(t.Context(), recs))
	}
	return d
}

// TestTablesKeepWhatIsWorkedOut: without a place to keep it, every question
// would place all symbols anew.
func TestTablesKeepWhatIsWorkedOut(t *testing.T) {
	view := filled(t).View(everything)
	defer view.Release()
	require.Greater(t, len(view.Units), 1)
	for _, unit := range view.Units {
		first, err := unit.Symbols(t.Context(), 0)
		require.NoError(t, err)
		second, err := unit.Symbols(t.Context(), 0)
		require.NoError(t, err)
		require.NotNil(t, first.Memo)
		require.Same(t, first.Memo, second.Memo)
	}
}

// impatient is a context that is cancelled when it has been looked at a number
// of times. It counts how often it is looked at after that.
type impatient struct {
	context.Context
	looks, after int
	mu           chan struct{}
}

func (c *impatient) Err() error {
	c.mu <- struct{}{}
	defer func() { <-c.mu }()
	if c.looks > 0 {
		c.looks--
		return nil
	}
	c.after++
	return context.Canceled
}

// TestCancel ends questions at every moment at which the context is looked at:
// they end with its error, and do no more work that looks at it.
func TestCancel(t *testing.T) {
	view := filled(t).View(everything)
	defer view.Release()
	sel := query.Selection{Type: dbtest.Types[0], Range: everything}
	for name, ask := range map[string]func(ctx context.Context) error{
		"tree": func(ctx context.Context) error {
			_, err := query.Tree(ctx, view.Units, sel)
			return err
		},
		"profile": func(ctx context.Context) error {
			_, err := query.Profile(ctx, view.Units, sel)
			return err
		},
		"functions": func(ctx context.Context) error {
			_, err := query.Functions(ctx, view.Units, sel)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for looks := 0; ; looks++ {
				ctx := &impatient{Context: t.Context(), looks: looks, mu: make(chan struct{}, 1)}
				err := ask(ctx)
				if err == nil {
					require.Positive(t, looks, "the context is not looked at")
					require.Zero(t, ctx.after)
					return
				}
				require.ErrorIs(t, err, context.Canceled)
				require.LessOrEqual(t, ctx.after, 16, "work went on after the end, of %d looks", looks)
			}
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	view := filled(t).View(everything)
	defer view.Release()
	sel := query.Selection{Type: dbtest.Types[0], Range: everything}
	asks := func(limit int64) map[string]error {
		e := query.NewEngine(query.Limits{QueryBytes: limit})
		_, treeErr := e.Tree(t.Context(), "t", view.Units, sel)
		_, functionsErr := e.Functions(t.Context(), "t", view.Units, sel)
		_, profileErr := e.Profile(t.Context(), view.Units, sel)
		series := query.SeriesSelection{Selection: sel, GroupBy: []string{"pod"}}
		series.Grid.Start, series.Grid.End, series.Grid.StepMillis = everything.Start, everything.End, 15_000
		_, seriesErr := e.TimeSeries(t.Context(), view.Units, series)
		return map[string]error{"tree": treeErr, "functions": functionsErr, "profile": profileErr, "series": seriesErr}
	}
	for _, limit := range []int64{1, 100, 1000} {
		for name, err := range asks(limit) {
			require.True(t, fault.Is(err, fault.TooLarge), "%s within %d: %v", name, limit, err)
			require.Equal(t, "query_memory", fault.ReasonOf(err))
			require.ErrorContains(t, err, fmt.Sprintf("more than %d bytes", limit))
			require.ErrorContains(t, err, "-querier.max-query-bytes")
		}
	}
	for _, limit := range []int64{0, 4 << 20} {
		for name, err := range asks(limit) {
			require.NoError(t, err, name)
		}
	}
}
