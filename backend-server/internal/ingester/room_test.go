package ingester

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

const dataDir = "/data"

// newMemFixture is an ingester whose disk is in memory.
func newMemFixture(t *testing.T) (*fixture, *vfs.Mem) {
	t.Helper()
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll(dataDir))
	return &fixture{fs: mem, dir: dataDir, bkt: &flaky{Bucket: objstore.NewInMemBucket()}}, mem
}

// idle makes an ingester that serves and does nothing by itself.
func (f *fixture) idle(t *testing.T, change func(*Config)) {
	t.Helper()
	f.make(t, change)
	f.phase.Store(running)
	t.Cleanup(func() { require.NoError(t, f.stop(nil)) })
}

// requireLater holds a refusal to what a client needs to come again.
func requireLater(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	require.True(t, fault.Is(err, kind), "%v", err)
	require.Equal(t, reason, fault.ReasonOf(err))
	var hint *upload.RetryError
	require.True(t, errors.As(err, &hint))
	require.Positive(t, hint.After)
}

// With a bound that is far too small everything arrives all the same, for the
// clients send again what was refused; and the bound holds.
func TestTinyMemoryLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 30_000
		var slow atomic.Bool // a disk that does not take blocks
		f, mem := newMemFixture(t)
		f.fs = vfs.WithFaults(mem, func(op vfs.Op, name string) error {
			if slow.Load() && op == vfs.OpMkdirAll {
				return errors.New("the disk hangs")
			}
			return nil
		})
		f.make(t, func(c *Config) { c.HeadMaxBytes, c.HeadTenantBytes = limit, limit })
		require.NoError(t, services.StartAndAwaitRunning(t.Context(), f.Ingester))
		var sum, refused, most int64
		for n := range uint64(1500) {
			slow.Store(n%500 > 200)
			rec := record(n+1, int64(n+1))
			for {
				errs := f.Push(t.Context(), team, []profile.Record{rec})
				stats, _ := f.stats()
				most = max(most, stats.Bytes)
				if len(errs) == 0 || errs[0] == nil {
					break
				}
				refused++
				requireLater(t, errs[0], fault.Exhausted, db.ReasonHeadFull)
				require.NoError(t, f.Ready(), "a full memory is no illness")
				slow.Store(refused%3 == 0)
				time.Sleep(5 * time.Second)
			}
			sum += int64(n + 1)
		}
		require.NotZero(t, refused)
		require.LessOrEqual(t, most, int64(limit+5000), "the bound and one batch")
		require.EqualValues(t, refused, testutil.ToFloat64(f.metrics.refused.WithLabelValues(db.ReasonHeadFull)))
		require.Equal(t, sum, total(t, f, team))
		slow.Store(false)
		require.NoError(t, f.Flush(t.Context()))
		require.Equal(t, sum, total(t, f, team))
		require.Zero(t, f.budget.Used()-func() int64 { s, _ := f.stats(); return s.Bytes }())
		require.NoError(t, services.StopAndAwaitTerminated(context.Background(), f.Ingester))
	})
}

// Memory short: the largest go first, and no more than are needed.
func TestPlanUnderPressure(t *testing.T) {
	f, _ := newMemFixture(t)
	f.idle(t, func(c *Config) { c.HeadMaxBytes, c.HeadTenantBytes = 1<<30, 1<<30 })
	var id uint64
	for tenant, n := range map[string]int{"a": 40, "b": 100, "c": 20, "d": 60} {
		for range n {
			id++
			push(t, f, tenant, record(id, 1))
		}
	}
	tenants := func(jobs []job) (out []string) {
		for _, j := range jobs {
			out = append(out, j.inst.tenant)
		}
		return out
	}
	now := time.Now()
	require.Empty(t, f.plan(now))
	used := f.budget.Used()
	f.budget = db.NewBudget(db.BudgetLimits{Bytes: used * 100 / 75})
	require.Equal(t, []string{"b"}, tenants(f.plan(now)))
	f.budget = db.NewBudget(db.BudgetLimits{Bytes: used * 100 / 99})
	require.Equal(t, []string{"b", "d"}, tenants(f.plan(now)))
	f.budget = db.NewBudget(db.BudgetLimits{Bytes: 1})
	require.Equal(t, []string{"b", "d", "a", "c"}, tenants(f.plan(now)))
	f.budget = db.NewBudget(db.BudgetLimits{})
	require.Len(t, f.plan(now.Add(2*time.Hour)), 4, "all are old then")

	for _, inst := range f.instances() {
		inst.notBefore.Store(now.Add(time.Second).UnixNano())
	}
	require.Empty(t, f.plan(now), "after a failure a tenant waits")
}

// Many heads become blocks a few at a time, and all of them do.
func TestFlushesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newMemFixture(t)
		var running, most atomic.Int32
		f.fs = vfs.WithFaults(f.fs, func(op vfs.Op, name string) error {
			if op == vfs.OpCreate && slices.Contains([]string{"data.hearth"}, name[max(0, len(name)-11):]) {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Second)
				running.Add(-1)
			}
			return nil
		})
		f.make(t, nil)
		require.NoError(t, services.StartAndAwaitRunning(t.Context(), f.Ingester))
		for n := range 12 {
			push(t, f, "tenant-"+string(rune('a'+n)), record(1, 1))
		}
		time.Sleep(f.cfg.MaxBlockDuration + time.Minute)
		stats, _ := f.stats()
		require.Zero(t, stats.Profiles)
		require.Equal(t, 12, f.arrived())
		require.EqualValues(t, flushes, most.Load())
		require.NoError(t, services.StopAndAwaitTerminated(context.Background(), f.Ingester))
	})
}
