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

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const (
	syncInterval = 5 * time.Minute
	firstPause   = time.Second // after a failed listing; doubled up to syncInterval
	idleAfter    = 15 * time.Minute
)

// Gateway is the role. It is a service: running keeps its list of blocks up to
// date, stopping closes them.
type Gateway struct {
	services.Service

	bkt     objstore.BucketReader
	logger  *slog.Logger
	metrics *metrics
	settle  time.Duration

	mu struct {
		sync.Mutex
		tenants  map[string]map[ulid.ULID]*entry
		unlisted error // why the bucket has not been listed yet; nil once it has
	}
}

// New returns a gateway that is not started.
func New(bkt objstore.BucketReader, reg prometheus.Registerer, logger *slog.Logger) *Gateway {
	g := &Gateway{bkt: bkt, logger: logger, metrics: newMetrics(reg)}
	g.mu.tenants = map[string]map[ulid.ULID]*entry{}
	g.mu.unlisted = fault.New(fault.Unavailable, "the store-gateway has not listed the bucket yet")
	g.Service = services.NewBasicService(nil, g.run, g.stop).WithName("store-gateway")
	return g
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

// View returns the tenant's blocks in the range, and a function that must be
// called once when the reader is done.
func (g *Gateway) View(_ context.Context, tenantID string, r profile.TimeRange) ([]query.Queryable, func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.unlisted != nil {
		return nil, nil, g.mu.unlisted
	}
	var units []query.Queryable
	var held []*entry
	now := time.Now()
	for _, e := range g.mu.tenants[tenantID] {
		if e.TimeRange().Overlaps(r) {
			e.refs++
			e.lastUse = now
			units, held = append(units, e), append(held, e)
		}
	}
	return units, sync.OnceFunc(func() { g.release(held) }), nil
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
	for _, blocks := range g.mu.tenants {
		for id, e := range blocks {
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
	g.mu.tenants = map[string]map[ulid.ULID]*entry{}
	g.mu.unlisted = fault.New(fault.Unavailable, "the store-gateway is stopping")
	g.mu.Unlock()
	for _, blocks := range tenants {
		for _, e := range blocks {
			g.release([]*entry{e})
		}
	}
	return nil
}
