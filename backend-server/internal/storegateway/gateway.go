package storegateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

const (
	syncInterval = 5 * time.Minute
	firstPause   = time.Second // after a failed listing; doubled up to syncInterval
	idleAfter    = 15 * time.Minute
)

// Deps is what a gateway works with.
type Deps struct {
	Bucket objstore.BucketReader
	// Deletions reads what is deleted of a tenant from the bucket; nil: nothing.
	Deletions func(ctx context.Context, tenantID string) (deletion.Rules, error)
	// Retention returns what of a tenant is too old to be shown; nil: nothing.
	Retention  func(tenantID string) deletion.Rules
	Config     Config
	CacheDir   string // of the disk cache; "": there is none
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Gateway is the role. It is a service: running keeps its list of blocks up to
// date, stopping closes them.
type Gateway struct {
	services.Service

	bkt     objstore.BucketReader
	deps    Deps
	logger  *slog.Logger
	metrics *metrics
	caches  *caches
	settle  time.Duration

	mu struct {
		sync.Mutex
		tenants  map[string]*known
		unlisted error // why the bucket has not been listed yet; nil once it has
	}
}

// known is what is known of a tenant. It is guarded by Gateway.mu.
type known struct {
	// learning is held while deletions are read: of other tenants they can be
	// read meanwhile.
	learning sync.Mutex

	set     *catalog.Set
	entries map[ulid.ULID]*entry // the blocks of set
	deleted deletion.Rules       // stored ones
	// unreadable is why deleted is not known; nil if it is.
	unreadable error
	indexed    time.Time // when the index was written that was read last
	looked     time.Time // when somebody has looked because something was gone
	// looking is closed when the one who looks for what has taken the place of
	// what is gone is done; nil if nobody does.
	looking chan struct{}
	found   bool // whether the last look did
}

// New returns a gateway that is not started.
func New(deps Deps) *Gateway {
	g := &Gateway{bkt: deps.Bucket, deps: deps, logger: deps.Logger, metrics: newMetrics(deps.Registerer)}
	g.caches = newCaches(deps.Config, vfs.OS{}, deps.CacheDir, g.metrics, deps.Logger)
	registerCaches(deps.Registerer, g.caches)
	g.mu.tenants = map[string]*known{}
	g.mu.unlisted = fault.New(fault.Unavailable, "the store-gateway has not listed the bucket yet")
	g.Service = services.NewBasicService(nil, g.run, g.stop).WithName("store-gateway")
	return g
}

// tenant returns what is known of a tenant, which it makes if need be. The
// caller holds g.mu.
func (g *Gateway) tenant(id string) *known {
	t := g.mu.tenants[id]
	if t == nil {
		t = &known{set: catalog.NewSet(), entries: map[ulid.ULID]*entry{}}
		g.mu.tenants[id] = t
	}
	return t
}

// ListAfter has the first listing wait: a block that is shipped by somebody who
// has not heard of this gateway yet, and so does not tell it, must be there by
// then. It is called before the gateway starts.
func (g *Gateway) ListAfter(settle time.Duration) { g.settle = settle }

// Ready tells why the gateway cannot answer, or nil.
func (g *Gateway) Ready() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.unlisted
}

// release gives references back and closes blocks that have none left.
func (g *Gateway) release(entries []*entry) {
	var unused []*entry
	g.mu.Lock()
	for _, e := range entries {
		if e.refs--; e.refs == 0 {
			unused = append(unused, e)
		}
	}
	g.mu.Unlock()
	for _, e := range unused {
		if err := e.close(); err != nil {
			g.logger.Warn("block not closed", "block", e.meta.ID, "err", err)
		}
	}
}

// closeIdle closes the blocks that nobody has read since the given time. They
// stay listed. Closing takes no I/O and nobody can be opening a block that only
// the list refers to, so it is done under the lock, which keeps views away.
func (g *Gateway) closeIdle(since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.mu.tenants {
		for id, e := range t.entries {
			if e.refs > 1 || !e.lastUse.Before(since) {
				continue
			}
			if err := e.close(); err != nil {
				g.logger.Warn("idle block not closed", "block", id, "err", err)
			}
		}
	}
}

// stop closes all blocks. Views have ended by then: the server stops answering
// before its roles stop.
func (g *Gateway) stop(error) error {
	g.mu.Lock()
	tenants := g.mu.tenants
	g.mu.tenants = map[string]*known{}
	g.mu.unlisted = fault.New(fault.Unavailable, "the store-gateway is stopping")
	g.mu.Unlock()
	for _, t := range tenants {
		for _, e := range t.entries {
			g.release([]*entry{e})
		}
	}
	return nil
}
