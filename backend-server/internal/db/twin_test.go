package db_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
)

const start = profile.UnixMilli(1_700_000_000_000)

// world is a database and its twin.
type world struct {
	t    *testing.T
	rng  *rand.Rand
	mem  *vfs.Mem
	gen  *dbtest.Generator
	db   *db.DB
	twin dbtest.Twin
}

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{t: t, rng: rng, mem: vfs.NewMem(), gen: &dbtest.Generator{Rng: rng, Start: start, Length: (3 * time.Hour).Milliseconds()}}
	w.open()
	return w
}

func (w *world) open() {
	var err error
	w.db, err = db.Open(context.Background(), "data/tenant", db.Options{FS: w.mem})
	require.NoError(w.t, err)
}

func (w *world) append() {
	var recs []profile.Record
	for range 1 + w.rng.IntN(3) {
		recs = append(recs, w.gen.Record())
	}
	if n := len(w.twin.Records); n > 0 && w.rng.IntN(3) == 0 {
		recs = append(recs, w.twin.Records[w.rng.IntN(n)]) // a retry
	}
	require.Nil(w.t, w.db.Append(context.Background(), recs))
	w.twin.Add(recs...)
}

// step does one random operation and returns its name.
func (w *world) step() string {
	switch n := w.rng.IntN(20); {
	case n < 12:
		w.append()
		return "append"
	case n < 14:
		require.NoError(w.t, w.db.Flush(context.Background()))
		return "flush"
	case n < 15:
		for _, b := range w.db.Unshipped() {
			require.NoError(w.t, w.db.MarkShipped(b.ID, time.Now()))
		}
		require.Empty(w.t, w.db.Unshipped())
		return "ship"
	case n < 17:
		require.NoError(w.t, w.db.Close())
		w.open()
		return "reopen"
	case n < 18:
		w.mem = w.mem.CrashClone(w.rng) // the old database is left to rot
		w.open()
		return "power cut"
	default:
		w.compare()
		return "compare"
	}
}

func (w *world) selection() query.Selection {
	length := w.gen.Length
	a, b := w.rng.Int64N(length), w.rng.Int64N(length)
	sel := query.Selection{Type: dbtest.Types[w.rng.IntN(len(dbtest.Types))], Range: profile.TimeRange{Start: start + profile.UnixMilli(min(a, b)), End: start + profile.UnixMilli(max(a, b))}}
	if w.rng.IntN(2) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchEqual, "service_name", dbtest.Services[w.rng.IntN(3)]))
	}
	if w.rng.IntN(3) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchRegexp, "pod", "pod-[01]"))
	}
	if w.rng.IntN(4) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchNotEqual, "pod", "pod-2"))
	}
	if w.rng.IntN(4) == 0 {
		sel.CallSite = []string{fmt.Sprintf("fn%d", w.rng.IntN(12))}
	}
	if w.rng.IntN(4) == 0 {
		sel.Spans = dbtest.Spans[:1+w.rng.IntN(2)]
	}
	return sel
}

func (w *world) compare() {
	ctx := context.Background()
	sel := w.selection()
	view := w.db.View(sel.Range)
	defer view.Release()
	tree, err := query.Tree(ctx, view.Units, sel)
	require.NoError(w.t, err)
	require.Equal(w.t, w.twin.Tree(sel), dbtest.FlattenTree(tree), "tree of %+v", sel)
	prof, err := query.Profile(ctx, view.Units, sel)
	require.NoError(w.t, err)
	require.Equal(w.t, w.twin.Profile(sel), dbtest.FlattenProfile(prof), "profile of %+v", sel)

	all := w.db.View(profile.TimeRange{})
	defer all.Release()
	s := query.SeriesSelection{Selection: sel, Grid: series.Grid{Start: sel.Range.Start, End: sel.Range.End, StepMillis: 600_000}, GroupBy: []string{"pod", "service_name"}}
	points, err := query.TimeSeries(ctx, all.Units, s)
	require.NoError(w.t, err)
	require.Equal(w.t, w.twin.Series(s), dbtest.FlattenSeries(points, s.GroupBy), "series of %+v", s)
}

func TestTwin(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() { // under the race detector, where it is slow
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			var done []string
			defer func() {
				if t.Failed() {
					t.Log("operations:", done)
				}
			}()
			for range 150 {
				done = append(done, w.step())
			}
			w.compare()
			require.NoError(t, w.db.Flush(context.Background()))
			for range 5 {
				w.compare()
			}
			require.Zero(t, w.db.HeadStats().Profiles)
		})
	}
}
