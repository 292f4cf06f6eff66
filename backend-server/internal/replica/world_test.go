package replica_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
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
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

const start = profile.UnixMilli(1_700_000_000_000)

// copies is how many databases a record is sent to; one of them may miss it.
const copies = 3

// world is some databases, the bucket that they ship blocks to, and the twin
// that was given each record once.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	counts   map[string]int
	gen      *dbtest.Generator
	nodes    []*node
	down     *node // takes nothing at the moment
	lost     *node // will never be asked again
	twin     dbtest.Twin
	bucket   *vfs.Mem
	shipped  []*block.Block            // and made by compactors
	made     map[ulid.ULID][]ulid.ULID // by job: the blocks it has read
	removed  map[ulid.ULID]bool        // of those in shipped
	engine   *query.Engine
	digester *replica.Digester
	// counters says that no copy of a running total gets lost, so that what
	// they grew by is known exactly.
	counters bool
	rules    deletion.Rules // in force
	erases   bool           // compactors take out what is deleted; no rule is taken back
}

// node is a database. gone are those of its blocks that only the bucket has.
type node struct {
	mem  *vfs.Mem
	opts db.Options
	db   *db.DB
	gone []*block.Block
}

func newWorld(t *testing.T, seed uint64, counts map[string]int) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	// In a short time there are many profiles to a window of sums.
	length := []time.Duration{20 * time.Minute, time.Hour, 3 * time.Hour}[rng.IntN(3)]
	w := &world{
		t: t, rng: rng, counts: counts, bucket: vfs.NewMem(),
		gen:      &dbtest.Generator{Rng: rng, Start: start, Length: length.Milliseconds(), Varied: true},
		engine:   query.NewEngine(query.Limits{CallBytes: []int64{0, 1, 20_000}[rng.IntN(3)]}),
		digester: replica.NewDigester([]int64{0, 3_000, 1 << 20}[rng.IntN(3)]),
		counters: rng.IntN(2) == 0,
		made:     map[ulid.ULID][]ulid.ULID{}, removed: map[ulid.ULID]bool{}, erases: rng.IntN(2) == 0,
	}
	w.twin.Deleted = func(ls labels.Labels, at profile.UnixMilli) bool { return w.rules.Deletes(ls, at) }
	const hour = time.Hour
	for range copies + rng.IntN(3) {
		n := &node{mem: vfs.NewMem()}
		n.opts.MaxBlockDuration = []time.Duration{hour / 2, hour, hour, 2 * hour, 5 * hour, 5 * hour, 5 * hour, 7 * time.Minute}[rng.IntN(8)]
		w.open(n)
		w.nodes = append(w.nodes, n)
	}
	return w
}

func (w *world) open(n *node) {
	n.opts.FS = n.mem
	var err error
	n.db, err = db.Open(context.Background(), "data/tenant", n.opts)
	require.NoError(w.t, err)
}

// close ends the world.
func (w *world) close() {
	for _, n := range w.nodes {
		require.NoError(w.t, n.db.Close())
	}
	for _, b := range w.shipped {
		require.NoError(w.t, b.Close())
	}
}

func (w *world) someNode() *node { return w.nodes[w.rng.IntN(len(w.nodes))] }

// step does one random operation and returns its name.
func (w *world) step() string {
	switch n := w.rng.IntN(46); {
	case n < 22:
		w.append()
		return "append"
	case n < 24:
		w.down = nil
		if w.rng.IntN(2) == 0 {
			w.down = w.someNode()
		}
		return "down or up"
	case n < 31:
		return w.keep()
	case n < 32:
		if w.lost == nil && w.rng.IntN(4) == 0 {
			w.lost = w.someNode()
		}
		return "lose one"
	case n < 34:
		return w.delete()
	case n < 36:
		w.compact(w.erasing())
		return "compact"
	case n < 37:
		w.clean()
		return "clean"
	case n < 38:
		w.settle()
		return "settle"
	default:
		w.compare()
		return "compare"
	}
}

// keep does something to a database that changes no answer.
func (w *world) keep() string {
	n := w.someNode()
	switch i := w.rng.IntN(7); {
	case i < 2:
		w.flush(n)
		return "flush"
	case i < 4:
		w.ship(n)
		return "ship"
	case i < 5:
		w.drop(n)
		return "drop"
	case i < 6:
		require.NoError(w.t, n.db.Close())
		w.open(n)
		return "reopen"
	}
	after := n.mem.CrashClone(w.rng)
	require.NoError(w.t, n.db.Close()) // on the old disk, which nobody looks at again
	n.mem = after
	w.open(n)
	return "power cut"
}

func (w *world) flush(n *node) { require.NoError(w.t, n.db.Flush(context.Background())) }

// append sends new records, some twice.
func (w *world) append() {
	for range 1 + w.rng.IntN(4) {
		rec := w.gen.Record()
		if w.rng.IntN(4) == 0 {
			rec = w.gen.Counter()
		}
		w.send(rec)
	}
	if rec, ok := w.someRecord(); ok && w.rng.IntN(3) == 0 && !isCounter(&rec) {
		w.send(w.gen.Double(rec))
	}
	if rec, ok := w.someRecord(); ok && w.rng.IntN(3) == 0 {
		w.send(rec)
	}
}

func isCounter(rec *profile.Record) bool { return len(rec.Profile.Types) == 3 }

func (w *world) someRecord() (profile.Record, bool) {
	if len(w.twin.Records) == 0 {
		return profile.Record{}, false
	}
	return w.twin.Records[w.rng.IntN(len(w.twin.Records))], true
}

// send writes a record to the databases of its series, or, while the ring
// changes, to any others. At most one copy gets lost.
func (w *world) send(rec profile.Record) {
	all := isCounter(&rec) && w.counters
	first := int(labels.StableHash(rec.Labels) % uint64(len(w.nodes)))
	if !all && w.rng.IntN(8) == 0 {
		first = w.rng.IntN(len(w.nodes))
	}
	miss := w.down
	if miss == nil && w.rng.IntN(3) == 0 {
		miss = w.someNode()
	}
	for i := range copies {
		n := w.nodes[(first+i)%len(w.nodes)]
		if (n != miss || all) && !w.dropped(n, &rec) {
			require.Nil(w.t, n.db.Append(context.Background(), []profile.Record{rec}))
		}
	}
	w.twin.Add(rec)
}

// dropped says whether a database's copy of the record is only in the bucket:
// it cannot know then that it had been sent it before.
func (w *world) dropped(n *node, rec *profile.Record) bool {
	for _, b := range n.gone {
		found, err := b.Has(context.Background(), head.Key(rec))
		require.NoError(w.t, err)
		if found {
			return true
		}
	}
	return false
}

// ship copies some blocks to the bucket.
func (w *world) ship(n *node) {
	for _, b := range n.db.Unshipped() {
		if w.rng.IntN(4) == 0 {
			continue
		}
		dir := filepath.Join("bucket", b.ID.String())
		require.NoError(w.t, vfs.MakeDir(w.bucket, dir))
		for _, name := range []string{block.DataFile, block.MetaFile} {
			raw, err := vfs.ReadFile(n.mem, filepath.Join(b.Dir, name))
			require.NoError(w.t, err)
			require.NoError(w.t, vfs.WriteFileAtomic(w.bucket, filepath.Join(dir, name), raw))
		}
		require.NoError(w.t, n.db.MarkShipped(b.ID, time.Now()))
		delete(w.removed, b.ID)
		if w.find(b.ID) == nil {
			w.shipped = append(w.shipped, w.openShipped(b.ID.String()))
		}
	}
}

func (w *world) find(id ulid.ULID) *block.Block {
	i := slices.IndexFunc(w.shipped, func(b *block.Block) bool { return b.Origin().ID == id })
	if i < 0 {
		return nil
	}
	return w.shipped[i]
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

// drop removes the local copies of some blocks that have been shipped, at a
// time when nobody sends again what they hold.
func (w *world) drop(n *node) {
	later := time.Now().Add(24 * time.Hour)
	for _, b := range n.db.Droppable(later) {
		if w.rng.IntN(3) > 0 {
			continue
		}
		require.NoError(w.t, n.db.DropLocal(b.ID, later))
		n.gone = append(n.gone, w.find(b.ID))
	}
}
