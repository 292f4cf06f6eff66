package db_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// spoil turns every byte of a file around, as no disk would without noticing
// and some have.
func spoil(t *testing.T, mem *vfs.Mem, name string) {
	t.Helper()
	b, err := vfs.ReadFile(mem, name)
	require.NoError(t, err)
	for i := range b {
		b[i] ^= 0x5a
	}
	require.NoError(t, vfs.WriteFile(mem, name, b))
}

// shorten cuts a file off, as a file system may that has lost its end.
func shorten(t *testing.T, mem *vfs.Mem, name string) {
	t.Helper()
	b, err := vfs.ReadFile(mem, name)
	require.NoError(t, err)
	require.NoError(t, vfs.WriteFile(mem, name, b[:len(b)/2]))
}

// watched is a database that tells about blocks set aside.
type watched struct {
	*db.DB
	aside atomic.Pointer[db.SetAside]
}

func openWatched(t *testing.T, fsys vfs.FS) *watched {
	t.Helper()
	w := new(watched)
	var err error
	w.DB, err = db.Open(context.Background(), "data/tenant", db.Options{FS: fsys, RetryWindow: time.Hour, Events: db.Events{SetAside: func(s db.SetAside) { w.aside.Store(&s) }}})
	require.NoError(t, err)
	return w
}

func (w *watched) appendAll(t *testing.T, s *script) *dbtest.Twin {
	t.Helper()
	twin := new(dbtest.Twin)
	for _, batch := range s.batches {
		require.Nil(t, w.Append(context.Background(), batch))
		twin.Add(batch...)
	}
	return twin
}

// A block that cannot be read must not keep new profiles of its time out.
func TestDamagedBlockDoesNotRefuseAppends(t *testing.T) {
	for n := range 4 {
		shipped, damage := n%2 == 1, spoil
		if n >= 2 {
			damage = shorten
		}
		mem, s := vfs.NewMem(), newScript(2)
		d := openWatched(t, mem)
		d.appendAll(t, s)
		require.NoError(t, d.Flush(context.Background()))
		b := d.Unshipped()[0]
		if shipped {
			require.NoError(t, d.MarkShipped(b.ID, time.Now()))
		}
		damage(t, mem, filepath.Join(b.Dir, block.DataFile))
		rec := s.batches[0][0]
		rec.ID, rec.Time = 999, b.Meta.MinTime
		require.Nil(t, d.Append(context.Background(), []profile.Record{rec}))
		aside := d.aside.Load()
		require.NotNil(t, aside)
		require.Equal(t, b.ID, aside.Block)
		require.Equal(t, shipped, aside.Shipped)
		require.True(t, fault.Is(aside.Err, fault.Corrupt), "%v", aside.Err)
		kept, err := vfs.Exists(mem, filepath.Join(aside.Dir, block.DataFile))
		require.NoError(t, err)
		require.True(t, kept, "somebody may want to look at it")
		require.NotContains(t, d.Unshipped(), b, "what is damaged is not shipped")
		require.NoError(t, d.Close())

		again := openWatched(t, mem)
		for _, u := range again.Unshipped() {
			require.NotEqual(t, b.ID, u.ID)
		}
		require.NoError(t, again.Close())
	}
}

// A query that meets a damaged block says so, once; the next one does without.
func TestDamagedBlockIsFoundByAQuery(t *testing.T) {
	mem := vfs.NewMem()
	d := openWatched(t, mem)
	defer d.Close()
	d.appendAll(t, newScript(1))
	require.NoError(t, d.Flush(context.Background()))
	spoil(t, mem, filepath.Join(d.Unshipped()[0].Dir, block.DataFile))
	ask := func() error {
		view := d.View(everyTime)
		defer view.Release()
		_, err := query.Types(context.Background(), view.Units, everyTime)
		return err
	}
	require.True(t, fault.Is(ask(), fault.Corrupt))
	require.Eventually(t, func() bool { return d.aside.Load() != nil }, 5*time.Second, time.Millisecond)
	require.NoError(t, ask())
}

// A meta file that cannot be read takes only its own block away.
func TestDamagedMetaIsSetAside(t *testing.T) {
	mem := vfs.NewMem()
	d := openWatched(t, mem)
	d.appendAll(t, newScript(2))
	require.NoError(t, d.Flush(context.Background()))
	blocks := d.Unshipped()
	require.NoError(t, d.Close())
	spoil(t, mem, filepath.Join(blocks[0].Dir, block.MetaFile))
	d = openWatched(t, mem)
	defer d.Close()
	require.Len(t, d.Unshipped(), len(blocks)-1)
	require.Equal(t, blocks[0].Dir+".damaged", filepath.ToSlash(d.aside.Load().Dir))
}

// lingering returns a disk on which a head has become blocks and could not be
// removed, and the blocks.
func lingering(t *testing.T, s *script) (*vfs.Mem, []db.LocalBlock, *dbtest.Twin) {
	t.Helper()
	var stuck atomic.Bool
	mem := vfs.NewMem()
	fsys := vfs.WithFaults(mem, func(op vfs.Op, name string) error {
		if stuck.Load() && op == vfs.OpRemoveAll && strings.Contains(name, "head") {
			return errDisk
		}
		return nil
	})
	d := openWatched(t, fsys)
	twin := d.appendAll(t, s)
	stuck.Store(true)
	require.NoError(t, d.Flush(context.Background()))
	require.Empty(t, d.Unshipped(), "no block is shipped while its log is there (D2)")
	require.True(t, d.Due(time.Now()))
	stuck.Store(false)
	clone := mem.CrashClone(rand.New(rand.NewPCG(1, 1)))
	_, err := d.MaybeFlush(context.Background(), time.Now())
	require.NoError(t, err)
	blocks := d.Unshipped()
	require.NotEmpty(t, blocks)
	require.False(t, d.Due(time.Now()))
	require.NoError(t, d.Close())
	return clone, blocks, twin
}

// The log of a head goes only when its blocks have been read and found good.
func TestBlocksAreWrittenAnewFromTheLog(t *testing.T) {
	s := &script{}
	gen := newScript(6)
	for i, batch := range gen.batches { // several windows, hence several blocks
		for j := range batch {
			batch[j].Time += profile.UnixMilli(i) * 3_600_000 / 3
		}
		s.batches = append(s.batches, batch)
	}
	cutOf := func(b db.LocalBlock) string {
		return filepath.Join("data/tenant/head", b.Meta.Parent.String(), "cut.json")
	}
	for name, damage := range map[string]func(mem *vfs.Mem, blocks []db.LocalBlock){
		"none":       func(*vfs.Mem, []db.LocalBlock) {},
		"data":       func(mem *vfs.Mem, b []db.LocalBlock) { spoil(t, mem, filepath.Join(b[0].Dir, block.DataFile)) },
		"meta":       func(mem *vfs.Mem, b []db.LocalBlock) { spoil(t, mem, filepath.Join(b[1].Dir, block.MetaFile)) },
		"gone":       func(mem *vfs.Mem, b []db.LocalBlock) { require.NoError(t, mem.RemoveAll(b[0].Dir)) },
		"cut record": func(mem *vfs.Mem, b []db.LocalBlock) { spoil(t, mem, cutOf(b[0])) },
		"all": func(mem *vfs.Mem, b []db.LocalBlock) {
			for i := range b {
				spoil(t, mem, filepath.Join(b[i].Dir, block.DataFile))
			}
			spoil(t, mem, cutOf(b[0]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			mem, blocks, twin := lingering(t, s)
			require.Greater(t, len(blocks), 2)
			damage(mem, blocks)
			settle(t, mem)
			w := vfstest.Watch(mem, 1, func() int { return 0 })
			d := openWatched(t, w.FS())
			compareAll(t, d.DB, twin, name)
			require.Nil(t, d.Append(context.Background(), twin.Records))
			require.Zero(t, d.HeadStats().Profiles, "retries are recognised")
			require.NoError(t, d.Close())
			cuts := w.Cuts()
			step := 1 + len(cuts)/60
			if testing.Short() {
				step = 1 + len(cuts)/3
			}
			for _, cut := range inSteps(cuts, step) {
				again := openWatched(t, cut.FS)
				compareAll(t, again.DB, twin, cut.Step)
				require.NoError(t, again.Close())
			}
		})
	}
}

// settle makes what a test has changed durable.
func settle(t *testing.T, mem *vfs.Mem) {
	t.Helper()
	for _, dir := range []string{"data/tenant/local", "data/tenant/head"} {
		require.NoError(t, mem.SyncDir(dir))
	}
}

// A block that comes back from the disk as something else never takes its
// head's place.
func TestFlushReadsBack(t *testing.T) {
	s := newScript(2)
	mem := vfs.NewMem()
	var lie atomic.Bool
	d, twin := openMem(t, liar{mem, &lie}, s)
	defer d.Close()
	lie.Store(true)
	err := d.Flush(context.Background())
	require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
	require.Empty(t, d.Unshipped())
	compareAll(t, d, twin, "the head is still there")
	lie.Store(false)
	require.NoError(t, d.Flush(context.Background()))
	compareAll(t, d, twin, "flushed")
}

// liar is a disk that writes one byte of a block wrongly.
type liar struct {
	vfs.FS
	lie *atomic.Bool
}

type lyingFile struct {
	vfs.File
	done bool
}

func (l liar) Create(name string) (vfs.File, error) {
	f, err := l.FS.Create(name)
	if err != nil || !l.lie.Load() || filepath.Base(name) != block.DataFile {
		return f, err
	}
	return &lyingFile{File: f}, nil
}

func (f *lyingFile) Write(p []byte) (int, error) {
	if !f.done && len(p) > 0 {
		f.done = true
		p = append([]byte{p[0] ^ 1}, p[1:]...)
	}
	return f.File.Write(p)
}

// A block stays while a profile in it may be sent again.
func TestBlocksStayForRetries(t *testing.T) {
	for _, window := range []time.Duration{time.Hour, 0} {
		mem := vfs.NewMem()
		d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: mem, RetryWindow: window})
		require.NoError(t, err)
		s := newScript(1)
		now := time.Now()
		for i := range s.batches[0] {
			s.batches[0][i].Time = profile.UnixMilli(now.UnixMilli())
		}
		require.Nil(t, d.Append(context.Background(), s.batches[0]))
		require.NoError(t, d.Flush(context.Background()))
		id := d.Unshipped()[0].ID
		require.ErrorContains(t, d.DropLocal(id, now.Add(24*time.Hour)), "not in the bucket")
		require.NoError(t, d.MarkShipped(id, now))
		late := now.Add(time.Hour + 9*time.Minute)
		require.Empty(t, d.Droppable(late))
		require.ErrorContains(t, d.DropLocal(id, late), "may be sent again")
		require.NoError(t, d.Close())

		d, err = db.Open(context.Background(), "data/tenant", db.Options{FS: mem, RetryWindow: window})
		require.NoError(t, err)
		require.Nil(t, d.Append(context.Background(), s.batches[0]))
		require.Zero(t, d.HeadStats().Profiles, "a retry is recognised")
		late = now.Add(time.Hour + 11*time.Minute)
		require.Len(t, d.Droppable(late), 1)
		require.WithinDuration(t, now, d.Droppable(late)[0].Shipped, time.Second)
		require.NoError(t, d.DropLocal(id, late))
		require.Empty(t, d.View(profile.TimeRange{}).Units)
		require.NoError(t, d.Close())
	}
}
