package ingester

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// tenantsDir holds a folder a tenant, within the data path.
const tenantsDir = "tenants"

// Deps are what an ingester works with.
type Deps struct {
	FS     vfs.FS
	Bucket objstore.Bucket
	// Shipped is told about every block that has arrived in the bucket.
	Shipped func(ctx context.Context, tenantID string, block ulid.ULID)
	// InBucket returns nil if the bucket has the block and those who read the
	// bucket show it.
	InBucket   func(ctx context.Context, tenantID string, meta *block.Meta) error
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Ingester is the role. It is a service: starting opens the databases of all
// tenants on disk, stopping closes them.
type Ingester struct {
	services.Service

	cfg     Config
	deps    Deps
	metrics *metrics
	health  health
	budget  *db.Budget
	disk    disk
	kick    chan struct{} // asks the ship loop not to wait
	pressed chan struct{} // asks the cut loop not to wait
	places  chan struct{} // one for each flush that may run

	// pushing is held for reading by pushes, and for writing by Drain, which
	// sets draining.
	pushing  sync.RWMutex
	draining bool

	// phase says whether requests are served; it changes only forward.
	phase atomic.Int32
	// gate is held for reading by every user of a database, and for writing by
	// the one who closes them (I2).
	gate sync.RWMutex

	mu struct {
		sync.Mutex
		tenants map[string]*instance
	}
}

// The phases of an ingester.
const (
	starting = iota
	running
	stopped
)

// New returns an ingester that is not started.
func New(cfg Config, deps Deps) *Ingester {
	i := &Ingester{cfg: cfg, deps: deps, kick: make(chan struct{}, 1), pressed: make(chan struct{}, 1), places: make(chan struct{}, flushes)}
	i.mu.tenants = map[string]*instance{}
	limits := cfg.memory()
	limits.Pressed = i.press
	i.budget = db.NewBudget(limits)
	i.disk = disk{cfg: cfg.Disk, fs: deps.FS, dir: cfg.DataPath, logger: deps.Logger}
	i.metrics = newMetrics(deps.Registerer, i)
	i.Service = services.NewBasicService(i.start, i.run, i.stop).WithName("ingester")
	return i
}

// enter lets a request in; the caller must call i.gate.RUnlock if it was.
func (i *Ingester) enter() error {
	// One that has stopped may wait for a long query before it has the gate:
	// who comes now must not wait with it.
	if i.phase.Load() == stopped {
		return errStopping
	}
	i.gate.RLock()
	switch i.phase.Load() {
	case running:
		return nil
	case starting:
		i.gate.RUnlock()
		return fault.New(fault.Unavailable, "the ingester is starting: it replays its write-ahead log")
	}
	i.gate.RUnlock()
	return errStopping
}

var errStopping = fault.New(fault.Unavailable, "the ingester is stopping")

// Push stores records of a tenant. It returns nil, or an error or nil for each
// record. What it has no error for is durable.
func (i *Ingester) Push(ctx context.Context, tenantID string, recs []profile.Record) []error {
	errs := i.push(ctx, tenantID, recs)
	i.health.note(errs, time.Now())
	return errs
}

func (i *Ingester) push(ctx context.Context, tenantID string, recs []profile.Record) []error {
	if err := i.enter(); err != nil {
		return all(err, len(recs))
	}
	defer i.gate.RUnlock()
	i.pushing.RLock()
	defer i.pushing.RUnlock()
	if i.draining {
		return all(fault.New(fault.Unavailable, "the ingester is leaving the cluster and takes no more profiles"), len(recs))
	}
	if err := i.disk.admit(); err != nil {
		i.metrics.refused.WithLabelValues(reasonDiskLow).Add(float64(len(recs)))
		return all(later(err), len(recs))
	}
	inst, err := i.open(ctx, tenantID)
	if err != nil {
		return all(err, len(recs))
	}
	errs := inst.db.Append(ctx, recs)
	if len(errs) > 0 && fault.ReasonOf(errs[0]) == db.ReasonHeadFull { // then all of them are
		i.metrics.refused.WithLabelValues(db.ReasonHeadFull).Add(float64(len(recs)))
		return all(later(errs[0]), len(recs))
	}
	return errs
}

// retryAfter is when a client should come again for whom there was no room.
const retryAfter = 5 * time.Second

func later(err error) error { return &upload.RetryError{Err: err, After: retryAfter} }

func all(err error, n int) []error { return slices.Repeat([]error{err}, n) }

// View returns what the tenant has here in the range, and a function that must
// be called once when the reader is done.
func (i *Ingester) View(ctx context.Context, tenantID string, r profile.TimeRange) ([]query.Queryable, func(), error) {
	if err := i.enter(); err != nil {
		return nil, nil, err
	}
	inst, err := i.existing(ctx, tenantID)
	if err != nil || inst == nil {
		i.gate.RUnlock()
		return nil, func() {}, err
	}
	view := inst.db.View(r)
	return view.Units, sync.OnceFunc(func() {
		view.Release()
		i.gate.RUnlock()
	}), nil
}

// Ready tells why the ingester cannot take part, or nil.
func (i *Ingester) Ready() error {
	if err := i.enter(); err != nil {
		return err
	}
	i.gate.RUnlock()
	return i.health.check(time.Now())
}

// Tenants returns how many tenants have a database here.
func (i *Ingester) Tenants() int { return len(i.instances()) }

func (i *Ingester) tenantDir(tenantID string) string {
	return filepath.Join(i.cfg.DataPath, tenantsDir, tenantID)
}

// instances returns the tenants whose databases are open, in order of ID.
func (i *Ingester) instances() []*instance {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []*instance
	for _, id := range slices.Sorted(maps.Keys(i.mu.tenants)) {
		if inst := i.mu.tenants[id]; inst.isOpen() {
			out = append(out, inst)
		}
	}
	return out
}
