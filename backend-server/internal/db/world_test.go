package db_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
)

const start = profile.UnixMilli(1_700_000_000_000)

// world is a database, a bucket that its blocks are shipped to, and the twin
// that knows all the answers.
type world struct {
	t    *testing.T
	rng  *rand.Rand
	mem  *vfs.Mem
	gen  *dbtest.Generator
	opts db.Options
	db   *db.DB
	twin dbtest.Twin

	// engine remembers things over queries, as that of a server does.
	engine *query.Engine
	// bucket holds what was shipped; it knows no power cuts. gone are the
	// blocks whose local copy has been dropped.
	bucket *vfs.Mem
	gone   map[ulid.ULID]*block.Block
}

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{
		t: t, rng: rng, mem: vfs.NewMem(), bucket: vfs.NewMem(), gone: map[ulid.ULID]*block.Block{},
		gen:    &dbtest.Generator{Rng: rng, Start: start, Length: (3 * time.Hour).Milliseconds(), Varied: true},
		engine: query.NewEngine(query.Limits{CallBytes: []int64{0, 1, 20_000}[rng.IntN(3)]}),
	}
	// Blocks of seven minutes cut windows of sums in two; they are many, which
	// takes time, so most worlds have larger ones.
	const hour = time.Hour
	w.opts.MaxBlockDuration = []time.Duration{hour / 2, hour, hour, 2 * hour, 5 * hour, 5 * hour, 5 * hour, 7 * time.Minute}[rng.IntN(8)]
	w.open()
	return w
}

func (w *world) open() {
	w.opts.FS = w.mem
	var err error
	w.db, err = db.Open(context.Background(), "data/tenant", w.opts)
	require.NoError(w.t, err)
}

// close ends the world.
func (w *world) close() {
	require.NoError(w.t, w.db.Close())
	for _, b := range w.gone {
		require.NoError(w.t, b.Close())
	}
}

// step does one random operation and returns its name.
func (w *world) step() string {
	switch n := w.rng.IntN(40); {
	case n < 20:
		w.append()
		return "append"
	case n < 22:
		require.NoError(w.t, w.db.Flush(context.Background()))
		return "flush"
	case n < 24:
		w.ship()
		return "ship"
	case n < 25:
		w.drop()
		return "drop"
	case n < 27:
		require.NoError(w.t, w.db.Close())
		w.open()
		return "reopen"
	case n < 29:
		w.crash()
		return "power cut"
	default:
		w.compare()
		return "compare"
	}
}

// append adds new records, running totals among them, second profiles of a
// time, and records that are there or in the same batch already.
func (w *world) append() {
	var recs []profile.Record
	for range 1 + w.rng.IntN(3) {
		if w.rng.IntN(4) > 0 {
			recs = append(recs, w.gen.Record())
		} else {
			recs = append(recs, w.gen.Counter())
		}
	}
	if rec, ok := w.someRecord(); ok && w.rng.IntN(3) == 0 {
		recs = append(recs, w.gen.Double(rec))
	}
	if rec, ok := w.someRecord(); ok && w.rng.IntN(3) == 0 && !w.dropped(&rec) {
		recs = append(recs, rec)
	}
	if w.rng.IntN(5) == 0 {
		recs = append(recs, recs[w.rng.IntN(len(recs))])
	}
	require.Nil(w.t, w.db.Append(context.Background(), recs))
	w.twin.Add(recs...)
}

func (w *world) someRecord() (profile.Record, bool) {
	if len(w.twin.Records) == 0 {
		return profile.Record{}, false
	}
	return w.twin.Records[w.rng.IntN(len(w.twin.Records))], true
}

// dropped says whether the record is only in the bucket: the database cannot
// know then that it has been sent before.
func (w *world) dropped(rec *profile.Record) bool {
	for _, b := range w.gone {
		found, err := b.Has(context.Background(), head.Key(rec))
		require.NoError(w.t, err)
		if found {
			return true
		}
	}
	return false
}

// ship copies some blocks to the bucket.
func (w *world) ship() {
	for _, b := range w.db.Unshipped() {
		if w.rng.IntN(4) == 0 {
			continue
		}
		dir := filepath.Join("bucket", b.ID.String())
		require.NoError(w.t, vfs.MakeDir(w.bucket, dir))
		for _, name := range []string{block.DataFile, block.MetaFile} {
			raw, err := vfs.ReadFile(w.mem, filepath.Join(b.Dir, name))
			require.NoError(w.t, err)
			require.NoError(w.t, vfs.WriteFileAtomic(w.bucket, filepath.Join(dir, name), raw))
		}
		require.NoError(w.t, w.db.MarkShipped(b.ID, time.Now()))
	}
}

// drop removes the local copies of some blocks that have been shipped, at a
// time when nobody sends again what they hold.
func (w *world) drop() {
	later := time.Now().Add(24 * time.Hour)
	for _, b := range w.db.Droppable(later) {
		if w.rng.IntN(3) > 0 {
			continue
		}
		require.NoError(w.t, w.db.DropLocal(b.ID, later))
		if w.gone[b.ID] == nil {
			w.gone[b.ID] = w.openShipped(b.ID.String())
		}
	}
}

func (w *world) openShipped(name string) *block.Block {
	raw, err := vfs.ReadFile(w.bucket, filepath.Join("bucket", name, block.MetaFile))
	require.NoError(w.t, err)
	meta, err := block.ReadMeta(raw)
	require.NoError(w.t, err)
	f, err := w.bucket.Open(filepath.Join("bucket", name, block.DataFile))
	require.NoError(w.t, err)
	b, err := block.Open(context.Background(), meta, block.FileSource{ReaderAt: f})
	require.NoError(w.t, err)
	b.OnClose(f.Close)
	return b
}

// crash cuts the power: what was not synced may be lost, in any combination.
func (w *world) crash() {
	after := w.mem.CrashClone(w.rng)
	require.NoError(w.t, w.db.Close()) // on the old disk, which nobody looks at again
	w.mem = after
	w.open()
}

// units are what a querier would ask: what the database has and, of the
// bucket, the blocks that it has not.
func (w *world) units(view *db.View) []query.Queryable {
	out := view.Units
	here := map[ulid.ULID]bool{}
	for _, u := range out {
		here[u.Origin().ID] = true
	}
	for id, b := range w.gone {
		if !here[id] { // after a power cut a dropped block may be back
			out = append(out, b)
		}
	}
	return out
}

// selection draws a question. Whole services and ranges of whole windows are
// what sums in advance are for; narrow ones have to be read row by row.
func (w *world) selection() query.Selection {
	sel := query.Selection{Type: dbtest.Types[w.rng.IntN(len(dbtest.Types))], Range: w.timeRange()}
	if w.rng.IntN(2) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, dbtest.Services[w.rng.IntN(len(dbtest.Services))]))
	}
	if w.rng.IntN(4) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchRegexp, "pod", "pod-[01]"))
	}
	if w.rng.IntN(5) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchNotEqual, "pod", "pod-2"))
	}
	if w.rng.IntN(5) == 0 {
		sel.CallSite = []string{fmt.Sprintf("fn%d", w.rng.IntN(12))}
	}
	if w.rng.IntN(6) == 0 {
		sel.Spans = dbtest.Spans[:1+w.rng.IntN(2)]
	}
	if rec, ok := w.someRecord(); ok && w.rng.IntN(10) == 0 {
		sel.ProfileIDs = []uint64{head.Key(&rec), w.rng.Uint64()}
	}
	return sel
}

func (w *world) timeRange() profile.TimeRange {
	a := start + profile.UnixMilli(w.rng.Int64N(w.gen.Length))
	b := start + profile.UnixMilli(w.rng.Int64N(w.gen.Length))
	r := profile.TimeRange{Start: min(a, b), End: max(a, b)}
	switch w.rng.IntN(4) {
	case 0:
		return profile.TimeRange{Start: start, End: start + profile.UnixMilli(w.gen.Length)}
	case 1: // whole windows
		r.Start -= r.Start % query.SumWindow
		r.End += query.SumWindow - 1 - r.End%query.SumWindow
	case 2: // a millisecond off
		r.Start -= r.Start%query.SumWindow + profile.UnixMilli(w.rng.IntN(3)-1)
		r.End -= r.End%query.SumWindow + profile.UnixMilli(w.rng.IntN(3)-1)
	}
	return r
}

// compare asks one question in every form there is.
func (w *world) compare() {
	ctx := context.Background()
	sel := w.selection()
	view := w.db.View(sel.Range)
	defer view.Release()
	units := w.units(view)
	tree, err := w.engine.Tree(ctx, "tenant", units, sel)
	require.NoError(w.t, err)
	require.Equal(w.t, w.twin.Tree(sel), dbtest.FlattenTree(tree), "tree of %+v", sel)
	functions, err := w.engine.Functions(ctx, "tenant", units, sel)
	require.NoError(w.t, err)
	require.Equal(w.t, w.twin.Functions(sel), dbtest.FlattenFunctions(functions.Functions), "functions of %+v", sel)
	require.Equal(w.t, tree.Total(), functions.Total)
	prof, err := w.engine.Profile(ctx, units, sel)
	require.NoError(w.t, err)
	require.Equal(w.t, w.twin.Profile(sel), dbtest.FlattenProfile(prof), "profile of %+v", sel)

	all := w.db.View(profile.TimeRange{})
	defer all.Release()
	units = w.units(all)
	sel.ProfileIDs = nil // time series know no such selection
	s := query.SeriesSelection{Selection: sel, GroupBy: [][]string{nil, {"pod", "service_name"}}[w.rng.IntN(2)]}
	s.Grid = series.Grid{Start: sel.Range.Start, End: sel.Range.End, StepMillis: []int64{600_000, 300_000, 1_234_567}[w.rng.IntN(3)]}
	points, err := w.engine.TimeSeries(ctx, units, s)
	require.NoError(w.t, err)
	require.Equal(w.t, w.twin.Series(s), dbtest.FlattenSeries(points, s.GroupBy), "series of %+v", s)
	w.compareLabels(units, sel.Matchers)
}

func (w *world) compareLabels(units []query.Queryable, matchers []*labels.Matcher) {
	sets, err := query.LabelSets(context.Background(), units, [][]*labels.Matcher{matchers}, nil, profile.TimeRange{})
	require.NoError(w.t, err)
	may, must := w.twin.LabelSets(matchers)
	for _, ls := range sets {
		require.True(w.t, may[ls.String()], "series %s is of nobody", ls)
		delete(must, ls.String())
	}
	require.Empty(w.t, must, "series that are not listed for %v", matchers)
}
