package storegateway

import (
	"context"
	"fmt"
	"log/slog"

	"golang.org/x/sync/semaphore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway/cache"
)

// CacheDir is the folder of the disk cache in a process' data folder.
const CacheDir = "store-gateway-cache"

// readAhead is how many bytes all queries together may have read ahead of what
// they have decoded.
const readAhead = 256 << 20

// caches is what all blocks of a gateway share.
type caches struct {
	memory  *cache.Memory
	disk    *cache.Disk // nil: none
	flights cache.Flights
	ahead   *semaphore.Weighted
	metrics *metrics
	logger  *slog.Logger
}

func newCaches(cfg Config, fs vfs.FS, dir string, m *metrics, logger *slog.Logger) *caches {
	c := &caches{memory: cache.NewMemory(int64(cfg.MemoryBytes)), ahead: semaphore.NewWeighted(readAhead), metrics: m, logger: logger}
	if dir != "" {
		// With a limit of 0, what is there from before goes.
		disk := cache.OpenDisk(fs, dir, int64(cfg.DiskBytes))
		if cfg.DiskBytes > 0 {
			c.disk = disk
		}
	}
	return c
}

// source is a block of the bucket with a cache before it.
type source struct {
	block.Source
	caches *caches
	key    cache.Key
	// missing is called when the block, or a part of it, is not there any more.
	missing func(context.Context)
}

var _ block.Far = (*source)(nil)

func (c *caches) source(tenantID string, meta *block.Meta, from block.Source) *source {
	return &source{Source: from, caches: c, key: cache.Key{Tenant: tenantID, Block: folder(meta)}}
}

// folder names a block and its content.
func folder(meta *block.Meta) string { return fmt.Sprintf("%s-%08x", meta.ID, meta.Files[0].CRC) }

// ReadAt implements block.Source.
func (s *source) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	err := s.Source.ReadAt(ctx, name, p, off)
	if fault.Is(err, fault.NotFound) && s.missing != nil {
		s.missing(ctx)
	}
	return err
}

// ReadAgain implements block.Far.
func (s *source) ReadAgain(ctx context.Context, name string, p []byte, off int64) error {
	k, c := s.key, s.caches
	k.Offset, k.Size = off, int64(len(p))
	result := hit
	shared, err := c.flights.Read(ctx, k, p, func() error {
		if c.disk != nil && c.disk.Get(k, p) {
			return nil
		}
		result = miss
		if err := s.ReadAt(ctx, name, p, off); err != nil {
			return err
		}
		if c.disk == nil {
			return nil
		}
		if err := c.disk.Put(k, p); err != nil {
			c.metrics.cacheFailures.Inc()
			c.logger.Warn("part of a block not kept on the disk; the next try is in a minute", "block", k.Block, "err", err)
		}
		return nil
	})
	if shared {
		result = hit
	}
	if err == nil {
		c.metrics.cacheRequests.WithLabelValues(result).Inc()
	}
	return err
}

// Reserve implements block.Far.
func (s *source) Reserve(ctx context.Context, n int64) (func(), error) {
	n = min(n, readAhead) // one row group may have more
	if err := s.caches.ahead.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { s.caches.ahead.Release(n) }, nil
}

// retain has the disk let go of blocks that are not there any more. It is
// called when all blocks are known.
func (g *Gateway) retain() {
	if g.caches.disk == nil {
		return
	}
	type name struct{ tenant, block string }
	known := map[name]bool{}
	g.mu.Lock()
	for tenantID, t := range g.mu.tenants {
		for _, e := range t.entries {
			known[name{tenantID, folder(e.meta)}] = true
		}
	}
	g.mu.Unlock()
	g.caches.disk.Retain(func(tenant, block string) bool { return known[name{tenant, block}] })
}
