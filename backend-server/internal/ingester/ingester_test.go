package ingester

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const team = "team-a"

var cpu = profile.Type{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"}

// fixture is an ingester on a folder and a bucket that survive it.
type fixture struct {
	*Ingester
	fs  vfs.FS
	dir string
	bkt *flaky
	// missing is what those who read the bucket say about every block.
	missing  error
	hangs    bool // they do not answer
	registry *prometheus.Registry

	mu      sync.Mutex
	shipped []ulid.ULID
}

// flaky is a bucket that can go away.
type flaky struct {
	objstore.Bucket
	gone atomic.Bool
}

func (f *flaky) Upload(ctx context.Context, name string, r io.Reader, o ...objstore.ObjectUploadOption) error {
	if f.gone.Load() {
		return errors.New("no route to bucket")
	}
	return f.Bucket.Upload(ctx, name, r, o...)
}

func newFixture(t *testing.T) *fixture {
	return &fixture{fs: vfs.OS{}, dir: t.TempDir(), bkt: &flaky{Bucket: objstore.NewInMemBucket()}}
}

func (f *fixture) make(t *testing.T, change func(*Config)) {
	t.Helper()
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError))
	cfg.DataPath = f.dir
	if change != nil {
		change(&cfg)
	}
	require.Empty(t, cfg.Validate())
	f.registry = prometheus.NewRegistry()
	f.Ingester = New(cfg, Deps{
		FS: f.fs, Bucket: f.bkt, Registerer: f.registry, Logger: slog.New(slog.DiscardHandler),
		Shipped: func(_ context.Context, _ string, id ulid.ULID) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.shipped = append(f.shipped, id)
		},
		InBucket: func(ctx context.Context, _ string, _ *block.Meta) error {
			if f.hangs {
				<-ctx.Done()
			}
			return f.missing
		},
	})
}

func (f *fixture) start(t *testing.T) {
	t.Helper()
	f.make(t, nil)
	require.NoError(t, services.StartAndAwaitRunning(t.Context(), f.Ingester))
	t.Cleanup(func() { f.stopNow(t) })
}

func (f *fixture) stopNow(t *testing.T) {
	t.Helper()
	require.NoError(t, services.StopAndAwaitTerminated(context.Background(), f.Ingester))
}

func (f *fixture) arrived() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.shipped)
}

// record is a profile of one sample.
func record(id uint64, value int64) profile.Record {
	return profile.Record{
		ID: id, Time: profile.UnixMilli(1000 + id), SampleEnd: 1,
		Labels: labels.FromStrings(profile.LabelName, cpu.Name, profile.LabelServiceName, "shop"),
		Profile: &profile.Profile{
			Types:      []profile.ValueType{{Type: cpu.SampleType, Unit: cpu.SampleUnit}},
			PeriodType: profile.ValueType{Type: cpu.PeriodType, Unit: cpu.PeriodUnit},
			Strings:    []string{"", "main"},
			Mappings:   make([]profile.Mapping, 1),
			Functions:  []profile.Function{{Name: 1}},
			Lines:      []profile.Line{{}},
			Locations:  []profile.Location{{LineEnd: 1}},
			Frames:     []uint32{0},
			Samples:    []profile.Sample{{FrameEnd: 1}},
			Values:     []int64{value},
			LabelSets:  make([][]profile.LabelPair, 1),
		},
	}
}

func push(t *testing.T, f *fixture, tenantID string, recs ...profile.Record) {
	t.Helper()
	for _, err := range f.Push(t.Context(), tenantID, recs) {
		require.NoError(t, err)
	}
}

func total(t *testing.T, f *fixture, tenantID string) int64 {
	t.Helper()
	everything := profile.TimeRange{End: 1 << 40}
	units, release, err := f.View(t.Context(), tenantID, everything)
	require.NoError(t, err)
	defer release()
	sum, err := query.Tree(t.Context(), units, query.Selection{Type: cpu, Range: everything})
	require.NoError(t, err)
	return sum.Total()
}

func TestPushReadRestart(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	require.NoError(t, f.Ready())
	push(t, f, team, record(1, 5), record(2, 7))
	push(t, f, team, record(2, 7))
	push(t, f, "team-b", record(1, 100))
	require.EqualValues(t, 12, total(t, f, team))
	require.EqualValues(t, 100, total(t, f, "team-b"))
	require.Zero(t, total(t, f, "nobody"))
	require.NoDirExists(t, f.tenantDir("nobody"), "reading makes no database")
	f.stopNow(t)
	for _, err := range f.Push(t.Context(), team, []profile.Record{record(3, 1)}) {
		require.True(t, fault.Is(err, fault.Unavailable))
	}
	_, _, err := f.View(t.Context(), team, profile.TimeRange{})
	require.True(t, fault.Is(err, fault.Unavailable))

	require.NoError(t, os.MkdirAll(filepath.Join(f.dir, tenantsDir, "no tenant"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, tenantsDir, ".DS_Store"), nil, 0o644))
	f.start(t)
	require.EqualValues(t, 12, total(t, f, team), "the log was replayed")
	require.EqualValues(t, 100, total(t, f, "team-b"))
}

func TestNotServedBeforeTheStart(t *testing.T) {
	f := newFixture(t)
	f.make(t, nil)
	for _, err := range f.Push(t.Context(), team, []profile.Record{record(1, 1)}) {
		require.True(t, fault.Is(err, fault.Unavailable))
	}
	require.ErrorContains(t, f.Ready(), "starting")
	require.Error(t, f.Flush(t.Context()))
}

func TestManyOpenOneDatabase(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() { push(t, f, team, record(uint64(n+1), 1)) })
	}
	wg.Wait()
	require.EqualValues(t, 20, total(t, f, team))
	_, tenants := f.stats()
	require.Equal(t, 1, tenants)
}

func TestFlushShips(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	push(t, f, team, record(1, 5))
	push(t, f, "team-b", record(1, 5))
	require.NoError(t, f.Flush(t.Context()))
	require.Equal(t, 2, f.arrived())
	var metas int
	require.NoError(t, f.bkt.Iter(t.Context(), "", func(name string) error {
		if strings.HasSuffix(name, "meta.json") {
			metas++
		}
		return nil
	}, objstore.WithRecursiveIter()))
	require.Equal(t, 2, metas)
	require.EqualValues(t, 5, total(t, f, team))
	require.NoError(t, f.Flush(t.Context()), "nothing to do")
	require.Equal(t, 2, f.arrived())
}

func TestABucketThatIsAwayLosesNothing(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	f.bkt.gone.Store(true)
	push(t, f, team, record(1, 5))
	err := f.Flush(t.Context())
	require.ErrorContains(t, err, "no route to bucket")
	require.True(t, fault.Is(err, fault.Unavailable))
	require.NoError(t, f.Ready(), "pushing goes on")
	push(t, f, team, record(2, 7))
	require.EqualValues(t, 12, total(t, f, team))
	require.GreaterOrEqual(t, testutil.ToFloat64(f.metrics.shipFailures), 1.0)
	f.stopNow(t)

	f.bkt.gone.Store(false)
	f.start(t)
	require.Eventually(t, func() bool { return f.arrived() == 1 }, 5*time.Second, 10*time.Millisecond, "a new start ships what waits")
	require.EqualValues(t, 12, total(t, f, team))
}

func TestShippingIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	f.bkt.gone.Store(true)
	f.start(t)
	push(t, f, team, record(1, 5))
	require.Error(t, f.Flush(t.Context()))
	f.wantShipping()
	require.Eventually(t, func() bool { return testutil.ToFloat64(f.metrics.shipFailures) >= 2 }, 5*time.Second, 5*time.Millisecond)
	f.bkt.gone.Store(false)
	require.Eventually(t, func() bool { return f.arrived() == 1 }, 5*time.Second, 10*time.Millisecond)
}

func TestStopWaitsForViews(t *testing.T) {
	f := newFixture(t)
	f.start(t)
	push(t, f, team, record(1, 5))
	_, release, err := f.View(t.Context(), team, profile.TimeRange{})
	require.NoError(t, err)
	f.StopAsync()
	require.Eventually(t, func() bool { return f.phase.Load() == stopped }, 5*time.Second, time.Millisecond)
	require.Equal(t, services.Stopping, f.State())
	release()
	release()
	require.NoError(t, f.AwaitTerminated(t.Context()))
}

func TestStartFailsWhenADatabaseCannotBeOpened(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, os.MkdirAll(filepath.Join(f.dir, tenantsDir, team), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, tenantsDir, team, "head"), nil, 0o644))
	f.make(t, nil)
	err := services.StartAndAwaitRunning(t.Context(), f.Ingester)
	require.ErrorContains(t, err, "tenant "+team)
}

func TestHealth(t *testing.T) {
	var h health
	now := time.Unix(1000, 0)
	h.note([]error{nil, fault.New(fault.Invalid, "bad")}, now)
	require.NoError(t, h.check(now))
	h.note([]error{errors.New("disk full")}, now)
	require.ErrorContains(t, h.check(now), "writes fail: disk full")
	h.note([]error{fault.New(fault.Invalid, "bad")}, now)
	h.note([]error{context.Canceled}, now)
	require.Error(t, h.check(now), "a refusal does not prove health")
	h.note(nil, now)
	require.NoError(t, h.check(now))
	h.note([]error{errors.New("disk full")}, now)
	require.NoError(t, h.check(now.Add(sickFor+1)), "it has to be tried again")
}

func TestConfigProblems(t *testing.T) {
	c := Config{HeadMaxBytes: -1, HeadTenantBytes: -1, Disk: DiskConfig{MinFreeBytes: -1, MinFreePercent: math.NaN(), LocalRetention: -1}}
	require.Len(t, c.Validate(), 7)
	limits := (&Config{}).memory()
	require.Positive(t, limits.TenantBytes)
	require.Less(t, limits.TenantBytes, limits.Bytes)
	limits = (&Config{HeadMaxBytes: 1000}).memory()
	require.EqualValues(t, 800, limits.TenantBytes)
}
