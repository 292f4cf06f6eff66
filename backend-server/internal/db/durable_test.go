package db_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs/vfstest"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// openMem opens a database on fsys with the batches of a script appended.
func openMem(t *testing.T, fsys vfs.FS, s *script) (*db.DB, *dbtest.Twin) {
	t.Helper()
	d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: fsys})
	require.NoError(t, err)
	twin := new(dbtest.Twin)
	for _, batch := range s.batches {
		require.Nil(t, d.Append(context.Background(), batch))
		twin.Add(batch...)
	}
	return d, twin
}

// Removing a head's directory is not one step: the power may go when it is
// empty. Its blocks are good then.
func TestHeadHalfRemoved(t *testing.T) {
	s := newScript(2)
	mem := vfs.NewMem()
	d, twin := openMem(t, mem, s)
	require.NoError(t, d.Flush(context.Background()))
	parent := d.Unshipped()[0].Meta.Parent
	require.NoError(t, d.Close())
	require.NoError(t, mem.MkdirAll(filepath.Join("data/tenant/head", parent.String())))
	d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: mem})
	require.NoError(t, err)
	defer d.Close()
	compareAll(t, d, twin, "after the head was half removed")
	left, err := mem.List("data/tenant/head")
	require.NoError(t, err)
	require.NotContains(t, left, parent.String())
}

// All states that a power cut can leave while a head is removed, with luck of
// every kind.
func TestPowerCutWhileFlushing(t *testing.T) {
	s := newScript(1)
	mem := vfs.NewMem()
	d, _ := openMem(t, mem, s)
	require.NoError(t, d.Close())
	done := &progress{acked: 1}
	w := vfstest.Watch(mem, 3, done.note)
	d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: w.FS()})
	require.NoError(t, err)
	require.NoError(t, d.Flush(context.Background()))
	require.NoError(t, d.Close())
	for _, cut := range inShort(w.Cuts()) {
		s.check(t, cut.FS, cut.Note, cut.Step)
	}
}

// The cut record may be on the disk although writing it failed. Trying again
// must leave the blocks it names alone.
func TestFlushAgainAfterDoubtfulCut(t *testing.T) {
	s := newScript(2)
	mem := vfs.NewMem()
	var renamed, broken atomic.Bool
	fsys := vfs.WithFaults(mem, func(op vfs.Op, name string) error {
		if op == vfs.OpRename && strings.Contains(name, "cut.json") {
			renamed.Store(true)
		}
		if renamed.Load() && !broken.Load() && op == vfs.OpSyncDir {
			broken.Store(true)
			return errDisk
		}
		return nil
	})
	d, twin := openMem(t, fsys, s)
	require.ErrorIs(t, d.Flush(context.Background()), errDisk)
	require.True(t, broken.Load())
	compareAll(t, d, twin, "after the cut failed")
	doubtful, err := mem.List("data/tenant/local")
	require.NoError(t, err)
	require.NoError(t, d.Flush(context.Background()))
	after, err := mem.List("data/tenant/local")
	require.NoError(t, err)
	require.Equal(t, doubtful, after)
	compareAll(t, d, twin, "after the second try")
	require.NoError(t, d.Close())
	s.check(t, mem.CrashClone(rand.New(rand.NewPCG(1, 1))), &progress{acked: 2}, "power cut")
}

// Any time can be stored, and a range includes both its ends.
func TestTimes(t *testing.T) {
	hour := profile.UnixMilli(time.Hour.Milliseconds())
	times := []profile.UnixMilli{math.MinInt64, math.MinInt64 + 1, -hour - 1, -hour, -hour + 1, -1, 0, 1, hour - 1, hour, hour + 1, start, math.MaxInt64 - 1, math.MaxInt64}
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(1, 1)), Length: 1}
	d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer d.Close()
	var twin dbtest.Twin
	for _, at := range times {
		for range 4 {
			rec := gen.Record()
			rec.Time = at
			require.Nil(t, d.Append(context.Background(), []profile.Record{rec}))
			twin.Add(rec)
		}
	}
	compare := func() {
		for i, from := range times {
			for _, to := range []profile.UnixMilli{from, times[min(i+1, len(times)-1)], math.MaxInt64} {
				r := profile.TimeRange{Start: from, End: to}
				view := d.View(r)
				for _, typ := range dbtest.Types {
					sel := query.Selection{Type: typ, Range: r}
					tree, err := query.Tree(context.Background(), view.Units, sel)
					require.NoError(t, err)
					require.Equal(t, twin.Tree(sel), dbtest.FlattenTree(tree), "%v", r)
				}
				view.Release()
			}
		}
	}
	compare()
	require.NoError(t, d.Flush(context.Background()))
	require.Zero(t, d.HeadStats().Profiles)
	compare()
	for _, b := range d.Unshipped() {
		require.LessOrEqual(t, uint64(b.Meta.MaxTime-b.Meta.MinTime), uint64(hour-1))
	}
	require.Nil(t, d.Append(context.Background(), twin.Records))
	require.Zero(t, d.HeadStats().Profiles, "a retry after the flush")
}
