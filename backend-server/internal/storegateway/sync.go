package storegateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// metaReads is how many meta files are read at a time.
const metaReads = 8

// run lists the bucket, at once and then every now and then.
func (g *Gateway) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(g.settle):
	}
	pause := firstPause
	for {
		wait := syncInterval
		switch err := g.Sync(ctx); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			g.logger.Warn("bucket could not be listed", "err", err, "again_in", pause)
			wait, pause = pause, min(2*pause, syncInterval)
		default:
			pause = firstPause
		}
		g.closeIdle(time.Now().Add(-idleAfter))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Sync brings the list of blocks up to date with the bucket. What a failure
// has left out stays as it was.
func (g *Gateway) Sync(ctx context.Context) error {
	begin := time.Now()
	err := g.sync(ctx, begin)
	if err != nil {
		g.metrics.syncFailures.Inc()
	} else {
		g.metrics.lastSync.SetToCurrentTime()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.mu.unlisted = nil
	case g.mu.unlisted != nil:
		g.mu.unlisted = fault.New(fault.Unavailable, "the store-gateway cannot list the bucket: %w", err)
	}
	return err
}

func (g *Gateway) sync(ctx context.Context, begin time.Time) error {
	tenants, err := bucket.Tenants(ctx, g.bkt)
	if err != nil {
		return err
	}
	g.mu.Lock()
	for known := range g.mu.tenants {
		if !slices.Contains(tenants, known) {
			tenants = append(tenants, known)
		}
	}
	g.mu.Unlock()
	var errs []error
	for _, t := range tenants {
		errs = append(errs, g.syncTenant(ctx, t, begin))
	}
	return errors.Join(errs...)
}

func (g *Gateway) syncTenant(ctx context.Context, tenantID string, begin time.Time) error {
	ids, err := bucket.Blocks(ctx, g.bkt, tenantID)
	if err != nil {
		return err
	}
	listed := make(map[ulid.ULID]bool, len(ids))
	var reads errgroup.Group
	reads.SetLimit(metaReads)
	for _, id := range ids {
		listed[id] = true
		if !g.knows(tenantID, id) {
			reads.Go(func() error { return g.add(ctx, tenantID, id) })
		}
	}
	err = reads.Wait()
	g.forget(tenantID, listed, begin)
	return err
}

// Notify tells the gateway that a block has arrived in the bucket.
func (g *Gateway) Notify(ctx context.Context, tenantID string, id ulid.ULID) {
	if g.knows(tenantID, id) {
		return
	}
	if err := g.add(ctx, tenantID, id); err != nil {
		g.logger.Warn("new block not read; the next listing will find it", "tenant", tenantID, "block", id, "err", err)
	}
}

// Learn makes sure that every view from now on shows a block of the bucket.
func (g *Gateway) Learn(ctx context.Context, tenantID string, id ulid.ULID) error {
	if err := g.Ready(); err != nil {
		return err
	}
	if !g.knows(tenantID, id) {
		if err := g.add(ctx, tenantID, id); err != nil {
			return err
		}
	}
	if !g.knows(tenantID, id) {
		return fault.New(fault.NotFound, "block %s of tenant %s is not in the bucket, or its meta file is broken", id, tenantID)
	}
	return nil
}

// Holds returns nil if the bucket has the whole block and every view from now
// on shows it: then other copies may go.
func (g *Gateway) Holds(ctx context.Context, tenantID string, meta *block.Meta) error {
	if err := g.Ready(); err != nil {
		return err
	}
	files := make([]bucket.File, len(meta.Files))
	for i, f := range meta.Files {
		files[i] = bucket.File(f)
	}
	if err := bucket.Verify(ctx, g.bkt, tenantID, meta.ID, files); err != nil {
		return err
	}
	if !g.knows(tenantID, meta.ID) {
		if err := g.add(ctx, tenantID, meta.ID); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.mu.tenants[tenantID][meta.ID]
	if known == nil || known.meta.TimeRange() != meta.TimeRange() {
		return fault.New(fault.Corrupt, "block %s is in the bucket, but not as it is here", meta.ID)
	}
	return nil
}

func (g *Gateway) knows(tenantID string, id ulid.ULID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.tenants[tenantID][id] != nil
}

// add reads a block's meta file and lists the block, if it is whole (G3).
func (g *Gateway) add(ctx context.Context, tenantID string, id ulid.ULID) error {
	b, err := bucket.Meta(ctx, g.bkt, tenantID, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	meta, err := block.ReadMeta(b)
	if err == nil && meta.ID != id {
		err = fmt.Errorf("it names block %s", meta.ID)
	}
	if err != nil {
		g.metrics.brokenMetas.Inc()
		g.logger.Error("block of the bucket left out: its meta file is broken", "tenant", tenantID, "block", id, "err", err)
		return nil
	}
	e := newEntry(meta, bucket.NewSource(g.bkt, tenantID, id), g.metrics)
	g.mu.Lock()
	defer g.mu.Unlock()
	blocks := g.mu.tenants[tenantID]
	if blocks == nil {
		blocks = map[ulid.ULID]*entry{}
		g.mu.tenants[tenantID] = blocks
	}
	if blocks[id] == nil {
		blocks[id] = e
		g.metrics.known.Inc()
	}
	return nil
}

// forget takes the blocks off the list that the listing begun at begin did not
// show. Younger ones stay: the listing may have missed them.
func (g *Gateway) forget(tenantID string, listed map[ulid.ULID]bool, begin time.Time) {
	var gone []*entry
	g.mu.Lock()
	blocks := g.mu.tenants[tenantID]
	for id, e := range blocks {
		if !listed[id] && e.added.Before(begin) {
			delete(blocks, id)
			gone = append(gone, e)
			g.metrics.known.Dec()
		}
	}
	if len(blocks) == 0 {
		delete(g.mu.tenants, tenantID)
	}
	g.mu.Unlock()
	g.release(gone)
}
