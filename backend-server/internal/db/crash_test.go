package db_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs/vfstest"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// script is a series of batches, each appended; between them heads are flushed,
// blocks are shipped, and local copies dropped.
type script struct{ batches [][]profile.Record }

func newScript(n int) *script {
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(7, 7)), Start: start, Length: (40 * time.Minute).Milliseconds()}
	s := new(script)
	for range n {
		s.batches = append(s.batches, []profile.Record{gen.Record(), gen.Record()})
	}
	return s
}

// progress is what has been done for good: batches acknowledged, and blocks in
// a bucket, which loses nothing and has objects whole or not at all.
type progress struct {
	mu     sync.Mutex
	acked  int
	bucket map[ulid.ULID]*remote
}

// remote is a block of the bucket.
type remote struct{ meta, data []byte }

// ReadAt implements block.Source.
func (r *remote) ReadAt(_ context.Context, _ string, p []byte, off int64) error {
	_, err := bytes.NewReader(r.data).ReadAt(p, off)
	return err
}

func (p *progress) note() *progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &progress{acked: p.acked, bucket: maps.Clone(p.bucket)}
}

func (p *progress) ack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked++
}

// upload copies a block into the bucket.
func (p *progress) upload(fsys vfs.FS, b db.LocalBlock) error {
	meta, err := vfs.ReadFile(fsys, filepath.Join(b.Dir, block.MetaFile))
	if err != nil {
		return err
	}
	data, err := vfs.ReadFile(fsys, filepath.Join(b.Dir, block.DataFile))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bucket == nil {
		p.bucket = map[ulid.ULID]*remote{}
	}
	p.bucket[b.ID] = &remote{meta, data}
	return nil
}

// ship brings all blocks to the bucket, and removes local ones, but the newest,
// if drop says so.
func (p *progress) ship(fsys vfs.FS, d *db.DB, drop bool) error {
	for _, b := range d.Unshipped() {
		if err := p.upload(fsys, b); err != nil {
			return err
		}
		if err := d.MarkShipped(b.ID, time.Now()); err != nil {
			return err
		}
	}
	if old := d.Droppable(time.Now()); drop && len(old) > 1 {
		for _, b := range old[:len(old)-1] {
			if err := d.DropLocal(b.ID, time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// units is what a query reads: the view, and what only the bucket has.
func (p *progress) units(t *testing.T, view *db.View) []query.Queryable {
	t.Helper()
	seen := map[ulid.ULID]bool{}
	for _, u := range view.Units {
		seen[u.Origin().ID] = true
	}
	units := slices.Clone(view.Units)
	for id, r := range p.bucket {
		meta, err := block.ReadMeta(r.meta)
		require.NoError(t, err)
		b, err := block.Open(context.Background(), meta, r)
		require.NoError(t, err)
		if !seen[id] && !seen[meta.Parent] {
			units = append(units, b)
		}
	}
	return units
}

func openTenant(fsys vfs.FS) (*db.DB, error) {
	return db.Open(context.Background(), "data/tenant", db.Options{FS: fsys, RetryWindow: time.Hour})
}

// run plays the script until an error and returns it.
func (s *script) run(fsys vfs.FS, done *progress) error {
	ctx := context.Background()
	d, err := openTenant(fsys)
	if err != nil {
		return err
	}
	defer d.Close()
	for i, batch := range s.batches {
		if errs := d.Append(ctx, batch); errs != nil {
			return errors.Join(errs...)
		}
		done.ack()
		if i%2 == 0 {
			continue
		}
		if err := d.Flush(ctx); err != nil {
			return err
		}
		if err := done.ship(fsys, d, i%4 == 3); err != nil {
			return err
		}
	}
	return nil
}

// check opens what is left on fsys, sends again what was on its way, and holds
// the answers to those of the batches acknowledged.
func (s *script) check(t *testing.T, fsys vfs.FS, done *progress, about string) {
	t.Helper()
	ctx := context.Background()
	done = done.note()
	d, err := openTenant(fsys)
	require.NoError(t, err, about)
	defer d.Close()
	var twin dbtest.Twin
	for _, batch := range s.batches[:done.acked] {
		twin.Add(batch...)
	}
	if done.acked < len(s.batches) {
		require.Nil(t, d.Append(ctx, s.batches[done.acked]), about)
		twin.Add(s.batches[done.acked]...)
	}
	compareWith(t, d, done, &twin, about)
	require.NoError(t, d.Flush(ctx), about)
	require.NoError(t, done.ship(fsys, d, true), about)
	compareWith(t, d, done, &twin, about+", flushed and shipped")
}

func compareAll(t *testing.T, d *db.DB, twin *dbtest.Twin, about string) {
	t.Helper()
	compareWith(t, d, new(progress), twin, about)
}

func compareWith(t *testing.T, d *db.DB, done *progress, twin *dbtest.Twin, about string) {
	t.Helper()
	view := d.View(profile.TimeRange{})
	defer view.Release()
	units := done.units(t, view)
	for _, typ := range dbtest.Types {
		sel := query.Selection{Type: typ, Range: profile.TimeRange{Start: start, End: start + 10_000_000}}
		tree, err := query.Tree(context.Background(), units, sel)
		require.NoError(t, err, about)
		require.Equal(t, twin.Tree(sel), dbtest.FlattenTree(tree), about)
	}
}

// inShort leaves out most of what a slow machine, or the race detector, has no
// time for.
func inShort[T any](list []T) []T {
	if !testing.Short() {
		return list
	}
	return inSteps(list, 1+len(list)/10)
}

// inSteps returns every nth of a list.
func inSteps[T any](list []T, n int) []T {
	var out []T
	for i := 0; i < len(list); i += n {
		out = append(out, list[i])
	}
	return out
}

func TestPowerCutAtEveryStep(t *testing.T) {
	s := newScript(8)
	mem := vfs.NewMem()
	var done progress
	w := vfstest.Watch(mem, 1, done.note)
	require.NoError(t, s.run(w.FS(), &done))
	cuts := w.Cuts()
	require.Greater(t, len(cuts), 50)
	require.NotEmpty(t, done.bucket)
	for _, cut := range inShort(cuts) {
		s.check(t, cut.FS, cut.Note, cut.Step)
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
		var done progress
		err := s.run(fsys, &done)
		if f.Hit() && err != nil {
			require.ErrorIs(t, err, errDisk, f.Step())
		}
		s.check(t, mem, &done, f.Step())
	})
}

// The disk fills up at any byte. What was acknowledged is answered, what is not
// is refused with the disk's own words, and with room again all goes on without
// a new start.
func TestDiskFullAtEverySize(t *testing.T) {
	s := newScript(4)
	most := peak(t, s)
	steps := int64(24)
	if testing.Short() {
		steps = 4
	}
	for n := range steps {
		size := most * (n + 1) / (steps + 1)
		full := vfs.NewMem()
		full.SetCapacity(size)
		d, err := openTenant(full)
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			continue
		}
		var twin dbtest.Twin
		refused := 0
		for _, batch := range s.batches {
			errs := d.Append(context.Background(), batch)
			for j, rec := range batch {
				if errs == nil || errs[j] == nil {
					twin.Add(rec)
					continue
				}
				refused++
				require.True(t, fault.Is(errs[j], fault.Unavailable), "%v", errs[j])
			}
			if _, err := d.MaybeFlush(context.Background(), time.Now().Add(2*time.Hour)); err != nil {
				require.ErrorIs(t, err, syscall.ENOSPC)
			}
			compareKept(t, d, &twin, s)
		}
		full.SetCapacity(0)
		require.NoError(t, d.Flush(context.Background()))
		for _, batch := range s.batches {
			require.Nil(t, d.Append(context.Background(), batch))
			twin.Add(batch...)
		}
		compareAll(t, d, &twin, "with room again")
		require.NoError(t, d.Close())
		t.Logf("%d bytes of %d: %d refused", size, most, refused)
	}
}

// peak returns how much disk the script's batches take, as logs and as blocks.
func peak(t *testing.T, s *script) int64 {
	t.Helper()
	mem := vfs.NewMem()
	mem.SetCapacity(1 << 40)
	used := func() int64 {
		space, err := mem.Space("/")
		require.NoError(t, err)
		return space.Total - space.Free
	}
	d, _ := openMem(t, mem, s)
	defer d.Close()
	logs := used()
	require.NoError(t, d.Flush(context.Background()))
	return logs + used()
}

// compareKept holds the answers of a database that refused some batches to
// what it acknowledged. Of what it refused it may hold some: the log failed
// only after they were in memory.
func compareKept(t *testing.T, d *db.DB, acked *dbtest.Twin, s *script) {
	t.Helper()
	var all dbtest.Twin
	for _, batch := range s.batches {
		all.Add(batch...)
	}
	view := d.View(profile.TimeRange{})
	defer view.Release()
	for _, typ := range dbtest.Types {
		sel := query.Selection{Type: typ, Range: profile.TimeRange{Start: start, End: start + 10_000_000}}
		tree, err := query.Tree(context.Background(), view.Units, sel)
		require.NoError(t, err)
		least, most := acked.Tree(sel), all.Tree(sel)
		got := dbtest.FlattenTree(tree)
		for path, v := range least {
			require.GreaterOrEqual(t, got[path], v, path)
		}
		for path, v := range got {
			require.LessOrEqual(t, v, most[path], path)
		}
	}
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
	s.check(t, mem.CrashClone(rand.New(rand.NewPCG(1, 1))), &progress{acked: 4}, "power cut")
}
