package db_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs/vfstest"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// script is a series of batches, each appended and then perhaps followed by a
// flush, a mark or a dropped block.
type script struct{ batches [][]profile.Record }

func newScript(n int) *script {
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(7, 7)), Start: start, Length: (2 * time.Hour).Milliseconds()}
	s := new(script)
	for range n {
		s.batches = append(s.batches, []profile.Record{gen.Record(), gen.Record()})
	}
	return s
}

// run plays the script until an error and returns it. acked counts the batches
// acknowledged.
func (s *script) run(fsys vfs.FS, acked *atomic.Int64) error {
	ctx := context.Background()
	d, err := db.Open(ctx, "data/tenant", db.Options{FS: fsys})
	if err != nil {
		return err
	}
	defer d.Close()
	for i, batch := range s.batches {
		if errs := d.Append(ctx, batch); errs != nil {
			return errors.Join(errs...)
		}
		acked.Add(1)
		if i%3 == 2 {
			if err := d.Flush(ctx); err != nil {
				return err
			}
		}
		if i%6 == 5 {
			for _, b := range d.Unshipped() {
				if err := d.MarkShipped(b.ID, time.Now()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// check opens what is left on fsys, sends again what was on its way, and holds
// the answers to those of the first n batches.
func (s *script) check(t *testing.T, fsys vfs.FS, n int, about string) {
	t.Helper()
	ctx := context.Background()
	d, err := db.Open(ctx, "data/tenant", db.Options{FS: fsys})
	require.NoError(t, err, about)
	defer d.Close()
	var twin dbtest.Twin
	for _, batch := range s.batches[:n] {
		twin.Add(batch...)
	}
	if n < len(s.batches) {
		require.Nil(t, d.Append(ctx, s.batches[n]), about)
		twin.Add(s.batches[n]...)
	}
	compareAll(t, d, &twin, about)
	require.NoError(t, d.Flush(ctx), about)
	compareAll(t, d, &twin, about+", flushed")
}

func compareAll(t *testing.T, d *db.DB, twin *dbtest.Twin, about string) {
	t.Helper()
	view := d.View(profile.TimeRange{})
	defer view.Release()
	for _, typ := range dbtest.Types {
		sel := query.Selection{Type: typ, Range: profile.TimeRange{Start: start, End: start + 10_000_000}}
		tree, err := query.Tree(context.Background(), view.Units, sel)
		require.NoError(t, err, about)
		require.Equal(t, twin.Tree(sel), dbtest.FlattenTree(tree), about)
	}
}

func TestPowerCutAtEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine at a time: nothing for the race detector")
	}
	s := newScript(6)
	mem := vfs.NewMem()
	var acked atomic.Int64
	w := vfstest.Watch(mem, 1, acked.Load)
	require.NoError(t, s.run(w.FS(), &acked))
	cuts := w.Cuts()
	require.Greater(t, len(cuts), 50)
	for _, cut := range cuts {
		s.check(t, cut.FS, int(cut.Note), cut.Step)
	}
	t.Logf("%d power cuts", len(cuts))
}

// errDisk is what a broken disk answers.
var errDisk = errors.New("no space left on device")

func TestDiskFaultAtEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine at a time: nothing for the race detector")
	}
	s := newScript(4)
	vfstest.EveryFault(t, errDisk, func(t *testing.T, mem *vfs.Mem, fsys vfs.FS, f *vfstest.Fault) {
		var acked atomic.Int64
		err := s.run(fsys, &acked)
		if f.Hit() && err != nil {
			require.ErrorIs(t, err, errDisk, f.Step())
		}
		s.check(t, mem, int(acked.Load()), f.Step())
	})
}

// A disk that fails and then works again must not need a restart.
func TestRecoversWithoutRestart(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	fsys := vfs.WithFaults(mem, func(op vfs.Op, _ string) error {
		if full.Load() && op.Changes() {
			return errDisk
		}
		return nil
	})
	ctx := context.Background()
	s := newScript(4)
	d, err := db.Open(ctx, "data/tenant", db.Options{FS: fsys})
	require.NoError(t, err)
	defer d.Close()
	var twin dbtest.Twin
	require.Nil(t, d.Append(ctx, s.batches[0]))
	twin.Add(s.batches[0]...)

	full.Store(true)
	for _, err := range d.Append(ctx, s.batches[1]) {
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		require.ErrorIs(t, err, errDisk)
	}
	_, err = d.MaybeFlush(ctx, time.Now())
	require.ErrorIs(t, err, errDisk)
	for _, err := range d.Append(ctx, s.batches[2]) {
		require.Error(t, err)
	}

	full.Store(false)
	flushed, err := d.MaybeFlush(ctx, time.Now())
	require.NoError(t, err)
	require.True(t, flushed)
	for _, batch := range s.batches[1:] {
		require.Nil(t, d.Append(ctx, batch))
		twin.Add(batch...)
	}
	compareAll(t, d, &twin, "after the disk works again")
	s.check(t, mem.CrashClone(rand.New(rand.NewPCG(1, 1))), 4, "power cut")
}
