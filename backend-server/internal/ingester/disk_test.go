package ingester

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// local returns how many blocks there are on the disk, and how many of them are
// not in the bucket.
func local(t *testing.T, f *fixture) (blocks int, unshipped int) {
	t.Helper()
	for _, inst := range f.instances() {
		view := inst.db.View(profile.TimeRange{})
		for _, u := range view.Units {
			if u.Origin().Parent != (ulid.ULID{}) {
				blocks++
			}
		}
		view.Release()
		unshipped += len(inst.db.Unshipped())
	}
	return blocks, unshipped
}

// free makes the disk have as many bytes free as are given.
func free(t *testing.T, mem *vfs.Mem, bytes int64) {
	t.Helper()
	mem.SetCapacity(1 << 40)
	s, err := mem.Space("/")
	require.NoError(t, err)
	mem.SetCapacity(s.Total - s.Free + bytes)
}

const floor = 40_000

// watermarked is an ingester with three shipped blocks and one that is not, and
// a floor of 40,000 bytes.
func watermarked(t *testing.T) (*fixture, *vfs.Mem) {
	t.Helper()
	f, mem := newMemFixture(t)
	require.NoError(t, vfs.WriteFile(mem, "/of somebody else", make([]byte, 1<<20)))
	f.idle(t, func(c *Config) {
		c.Disk.MinFreeBytes, c.Disk.MinFreePercent = floor, 99
		c.RetryWindow = time.Hour
	})
	for n := range uint64(3) {
		push(t, f, team, record(n+1, 1))
		require.NoError(t, f.Flush(t.Context()))
	}
	f.bkt.gone.Store(true)
	push(t, f, "team-b", record(100, 1))
	require.Error(t, f.Flush(t.Context()))
	blocks, unshipped := local(t, f)
	require.Equal(t, 4, blocks)
	require.Equal(t, 1, unshipped)
	return f, mem
}

// A low disk loses its oldest shipped blocks, as few as will do, and never one
// that is nowhere else.
func TestLowDiskDropsShippedBlocks(t *testing.T) {
	f, mem := watermarked(t)
	mem.SetCapacity(1 << 30)
	require.NoError(t, f.makeRoom(t.Context(), time.Now()))
	blocks, _ := local(t, f)
	require.Equal(t, 4, blocks, "there is room")

	oldest := f.removable(time.Now())
	require.Len(t, oldest, 3)
	free(t, mem, floor-oldest[0].Meta.Size()-1)
	require.NoError(t, f.makeRoom(t.Context(), time.Now()))
	left := f.removable(time.Now())
	require.Len(t, left, 1, "two were enough")
	require.Equal(t, oldest[2].ID, left[0].ID, "the oldest went first")
	require.EqualValues(t, 2, testutil.ToFloat64(f.metrics.dropped.WithLabelValues("disk")))

	free(t, mem, 1)
	require.NoError(t, f.makeRoom(t.Context(), time.Now()))
	blocks, unshipped := local(t, f)
	require.Equal(t, 1, blocks)
	require.Equal(t, 1, unshipped, "what is not in the bucket stays")
	require.EqualValues(t, 1, total(t, f, "team-b"))
}

// What those who read the bucket do not show must not go.
func TestLowDiskKeepsWhatTheBucketDoesNotShow(t *testing.T) {
	f, mem := watermarked(t)
	f.missing = fault.New(fault.NotFound, "no such object")
	free(t, mem, 1)
	require.ErrorContains(t, f.makeRoom(t.Context(), time.Now()), "no such object")
	require.ErrorContains(t, f.retain(t.Context(), time.Now().Add(240*time.Hour)), "stays")
	blocks, _ := local(t, f)
	require.Equal(t, 4, blocks)
}

// Before the disk is full pushes are refused; queries go on; with room again
// pushes are taken, without a new start.
func TestNearlyFullDiskRefusesPushes(t *testing.T) {
	f, mem := watermarked(t)
	f.missing = errors.New("the bucket is away")
	free(t, mem, floor/4-1)
	require.Error(t, f.makeRoom(t.Context(), time.Now()))
	refused := record(500, 1000)
	errs := f.Push(t.Context(), team, []profile.Record{refused})
	require.Len(t, errs, 1)
	requireLater(t, errs[0], fault.Unavailable, reasonDiskLow)
	for _, want := range []string{"9999 bytes free", "-db.data-path", "-db.min-free-bytes=40000", "-db.min-free-percent=99", "from 20000 on"} {
		require.ErrorContains(t, errs[0], want)
	}
	require.NoError(t, f.Ready(), "queries must go on")
	require.EqualValues(t, 3, total(t, f, team))
	space, low, refusing := f.disk.state()
	require.True(t, low && refusing)
	require.EqualValues(t, floor/4-1, space.Free)

	free(t, mem, floor/2-1)
	_ = f.makeRoom(t.Context(), time.Now())
	require.Error(t, f.Push(t.Context(), team, []profile.Record{refused})[0], "not at the first byte")
	free(t, mem, floor/2)
	_ = f.makeRoom(t.Context(), time.Now())
	push(t, f, team, refused)
	require.EqualValues(t, 1003, total(t, f, team))
}

// When pushes are refused, heads become blocks; before that those with large
// logs do.
func TestLowDiskCutsHeads(t *testing.T) {
	f, mem := watermarked(t)
	push(t, f, "team-c", record(7, 1))
	mem.SetCapacity(1 << 30)
	f.disk.look()
	require.Empty(t, f.plan(time.Now()))
	free(t, mem, floor-1)
	f.disk.look()
	require.Empty(t, f.plan(time.Now()), "its log is not worth it")
	free(t, mem, 1)
	f.disk.look()
	jobs := f.plan(time.Now())
	require.Len(t, jobs, 1)
	require.Equal(t, "team-c", jobs[0].inst.tenant)
	require.True(t, jobs[0].whole)
}

// Shipped blocks stay for a while, and then go.
func TestLocalRetention(t *testing.T) {
	f, _ := watermarked(t)
	now := time.Now()
	require.NoError(t, f.retain(t.Context(), now.Add(f.cfg.Disk.LocalRetention-time.Minute)))
	blocks, _ := local(t, f)
	require.Equal(t, 4, blocks)
	require.NoError(t, f.Tidy(t.Context(), now.Add(f.cfg.Disk.LocalRetention+time.Minute)))
	blocks, unshipped := local(t, f)
	require.Equal(t, 1, blocks)
	require.Equal(t, 1, unshipped)
	require.EqualValues(t, 3, testutil.ToFloat64(f.metrics.dropped.WithLabelValues("retention")))
}

// A disk that does not tell how full it is stops nobody.
func TestDiskThatDoesNotTell(t *testing.T) {
	f, mem := newMemFixture(t)
	f.fs = vfs.WithFaults(mem, func(op vfs.Op, _ string) error {
		if op == vfs.OpSpace {
			return errors.New("not mounted")
		}
		return nil
	})
	f.idle(t, nil)
	require.NoError(t, f.makeRoom(t.Context(), time.Now()))
	push(t, f, team, record(1, 1))
}

func TestFloor(t *testing.T) {
	const gib = 1 << 30
	c := DiskConfig{MinFreeBytes: 10 * gib, MinFreePercent: 5}
	require.EqualValues(t, 5*gib, c.floor(100*gib), "the smaller one: a disk is low when it is below both")
	require.EqualValues(t, 10*gib, c.floor(1000*gib))
	require.Zero(t, (&DiskConfig{MinFreeBytes: gib}).floor(gib))
	require.Zero(t, (&DiskConfig{MinFreePercent: 5}).floor(gib))
	require.True(t, strings.HasPrefix(reasonDiskLow, "disk"))
}

// A damaged block is not tried to be shipped for ever.
func TestDamagedBlockIsNotShipped(t *testing.T) {
	f, mem := watermarked(t)
	f.bkt.gone.Store(false)
	inst, err := f.existing(t.Context(), "team-b")
	require.NoError(t, err)
	name := filepath.Join(inst.db.Unshipped()[0].Dir, block.DataFile)
	b, err := vfs.ReadFile(mem, name)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, vfs.WriteFile(mem, name, b))
	require.True(t, fault.Is(f.ship(t.Context(), inst), fault.Corrupt))
	require.EqualValues(t, 1, testutil.ToFloat64(f.metrics.damagedBlocks))
	require.NoError(t, f.ship(t.Context(), inst))
	require.EqualValues(t, 3, f.arrived())
}

// What operators watch is there, under the names that the documents use.
func TestMetricsOfRoom(t *testing.T) {
	f, _ := watermarked(t)
	f.disk.look()
	families, err := f.registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		values[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
	}
	require.EqualValues(t, f.budget.Limits().Bytes, values["hearth_ingester_head_limit_bytes"])
	require.EqualValues(t, f.budget.Limits().TenantBytes, values["hearth_ingester_head_tenant_limit_bytes"])
	require.Positive(t, values["hearth_ingester_disk_free_bytes"])
	require.Greater(t, values["hearth_ingester_disk_size_bytes"], values["hearth_ingester_disk_free_bytes"])
	require.Zero(t, values["hearth_ingester_disk_low"])
	require.Zero(t, values["hearth_ingester_disk_refusing"])
	require.Contains(t, values, "hearth_ingester_log_bytes")
}

// A store-gateway that hangs keeps blocks from going, and nothing else.
func TestDiskIsLookedAtWhateverHangs(t *testing.T) {
	f, mem := newMemFixture(t)
	require.NoError(t, vfs.WriteFile(mem, "/of somebody else", make([]byte, 1<<20)))
	f.hangs = true
	f.make(t, func(c *Config) { c.Disk.MinFreeBytes, c.Disk.MinFreePercent, c.RetryWindow = floor, 99, time.Minute })
	require.NoError(t, services.StartAndAwaitRunning(t.Context(), f.Ingester))
	t.Cleanup(func() { f.stopNow(t) })
	push(t, f, team, record(1, 1))
	require.NoError(t, f.Flush(t.Context()))
	free(t, mem, floor-1)
	require.Eventually(t, func() bool { _, low, _ := f.disk.state(); return low }, 10*time.Second, time.Millisecond)
	time.Sleep(2 * diskInterval) // by now it asks for the block
	free(t, mem, floor/4-1)
	require.Eventually(t, func() bool {
		errs := f.Push(t.Context(), team, []profile.Record{record(2, 1)})
		return len(errs) == 1 && fault.ReasonOf(errs[0]) == reasonDiskLow
	}, 10*time.Second, 100*time.Millisecond)
}
