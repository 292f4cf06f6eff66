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
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

const (
	// tenantsAtOnce is how many tenants are brought up to date at a time.
	tenantsAtOnce = 8
	// lookAgainPause is how often a tenant is looked at because something is
	// gone.
	lookAgainPause = time.Second
	// lookAgainLimit is how long that may take.
	lookAgainLimit = 20 * time.Second
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
		g.retain()
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
	errs := make([]error, len(tenants))
	var running errgroup.Group
	running.SetLimit(tenantsAtOnce)
	for i, t := range tenants {
		running.Go(func() error { errs[i] = g.syncTenant(ctx, t, begin); return nil })
	}
	_ = running.Wait()
	return errors.Join(errs...)
}

// lookAgain brings what is known of a tenant up to date, after a block turned out
// to be gone: who asks again is told of those that have taken its place. Of many
// who find that out, one looks, and the others wait for it. What fails ends the
// question that found it out, and with it the reads of other blocks, of which any
// may be the one that looks; so the look does not end with them.
func (g *Gateway) lookAgain(ctx context.Context, tenantID string, gone ulid.ULID) {
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookAgainLimit)
	defer cancel()
	g.mu.Lock()
	t := g.tenant(tenantID)
	if t.entries[gone] == nil { // somebody has looked
		g.mu.Unlock()
		return
	}
	begin := time.Now()
	others := t.looking
	mine := others == nil && begin.Sub(t.looked) >= lookAgainPause
	if mine {
		t.looking = make(chan struct{})
	}
	g.mu.Unlock()
	switch {
	case mine:
		g.look(detached, tenantID, t, begin)
	case others != nil:
		select {
		case <-others:
		case <-ctx.Done():
			return
		}
	}
	g.mu.Lock()
	left := t.found && t.entries[gone] != nil
	g.mu.Unlock()
	// An index may have it for as long as no compactor writes another one. As long
	// as nobody could look, it stays: without it, and without what has taken its
	// place, answers would lack what was in it.
	if left {
		g.forgetIfGone(detached, tenantID, gone)
	}
}

// look brings what is known of t up to date for all that wait for it.
func (g *Gateway) look(ctx context.Context, tenantID string, t *known, begin time.Time) {
	var err error
	done := false
	defer func() { // after a panic, too
		g.mu.Lock()
		defer g.mu.Unlock()
		close(t.looking)
		t.looking, t.looked, t.found = nil, time.Now(), done && err == nil
	}()
	if err = g.syncTenant(ctx, tenantID, begin); err != nil {
		g.logger.Warn("a block is gone, and what has taken its place could not be looked for", "tenant", tenantID, "err", err)
	}
	done = true
}

// forgetIfGone takes a block off the list if the bucket says that it is gone: a
// listing may lag, and an index may be older than the block.
func (g *Gateway) forgetIfGone(ctx context.Context, tenantID string, id ulid.ULID) {
	if _, err := bucket.Meta(ctx, g.bkt, tenantID, id); fault.Is(err, fault.NotFound) {
		g.forget(tenantID, id)
	}
}

// syncTenant brings what is known of a tenant up to date. The index stands for a
// listing if it is newer than the one read before: what came after it, the
// gateway was told of.
func (g *Gateway) syncTenant(ctx context.Context, tenantID string, begin time.Time) error {
	switch err := g.LearnDeletions(ctx, tenantID); {
	case deletion.Unreadable(err):
		g.logger.Error("queries of a tenant fail until its deletions can be read; one that is broken can be taken back", "tenant", tenantID, "err", err)
	case err != nil:
		return err
	}
	idx, fresh := g.index(ctx, tenantID)
	there := map[ulid.ULID]bool{}
	var unknown []ulid.ULID
	for _, m := range idx.Blocks {
		there[m.ID] = true
		g.show(tenantID, m)
	}
	if !fresh {
		ids, err := bucket.Blocks(ctx, g.bkt, tenantID)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !there[id] {
				there[id] = true
				if !g.knows(tenantID, id) {
					unknown = append(unknown, id)
				}
			}
		}
	}
	var reads errgroup.Group
	reads.SetLimit(metaReads)
	for _, id := range unknown {
		reads.Go(func() error { return g.add(ctx, tenantID, id) })
	}
	if err := reads.Wait(); err != nil {
		return err // what is gone may be in one that was not read
	}
	var looks errgroup.Group
	looks.SetLimit(metaReads)
	for _, id := range g.missing(tenantID, there, begin) {
		looks.Go(func() error {
			g.forgetIfGone(ctx, tenantID, id)
			return nil
		})
	}
	return looks.Wait()
}

// index returns the index of a tenant, and whether it is newer than the one that
// was read before.
func (g *Gateway) index(ctx context.Context, tenantID string) (*catalog.Index, bool) {
	idx, err := catalog.ReadIndex(ctx, g.bkt, tenantID)
	if err != nil {
		if !fault.Is(err, fault.NotFound) {
			g.logger.Warn("index not read; the bucket is listed instead", "tenant", tenantID, "err", err)
		}
		return new(catalog.Index), false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tenant(tenantID)
	fresh := !t.indexed.IsZero() && idx.Written.After(t.indexed)
	t.indexed = idx.Written
	return idx, fresh
}

// LearnDeletions reads what is deleted of a tenant. Every view from now on is
// without it. If one of the deletions cannot be read, there are no views of the
// tenant until it can: what is deleted would be shown. Other tenants are none the
// worse for it.
func (g *Gateway) LearnDeletions(ctx context.Context, tenantID string) error {
	if g.deps.Deletions == nil {
		return nil
	}
	// Who reads later sets later: what was just added must not get lost.
	g.mu.Lock()
	t := g.tenant(tenantID)
	g.mu.Unlock()
	t.learning.Lock()
	defer t.learning.Unlock()
	rules, err := g.deps.Deletions(ctx, tenantID)
	if err != nil {
		err = fmt.Errorf("deletions of %s: %w", tenantID, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t.unreadable = nil
	if deletion.Unreadable(err) {
		t.unreadable = fault.New(fault.Unavailable, "what is deleted is not known, so nothing can be shown: %w", err)
	}
	if err == nil {
		t.deleted = rules
	}
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

// Learn makes sure that every view from now on shows a block of the bucket, or
// those that take its place.
func (g *Gateway) Learn(ctx context.Context, tenantID string, id ulid.ULID) error {
	if err := g.Ready(); err != nil {
		return err
	}
	if g.knows(tenantID, id) {
		return nil
	}
	if err := g.add(ctx, tenantID, id); err != nil {
		return err
	}
	if !g.knows(tenantID, id) {
		return notThere(tenantID, id)
	}
	return nil
}

func notThere(tenantID string, id ulid.ULID) error {
	return fault.New(fault.NotFound, "block %s of tenant %s is not in the bucket, or its meta file is broken", id, tenantID)
}

func (g *Gateway) knows(tenantID string, id ulid.ULID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.mu.tenants[tenantID]
	return t != nil && t.entries[id] != nil
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
	g.show(tenantID, meta)
	return nil
}

// show puts a block on the list.
func (g *Gateway) show(tenantID string, meta *block.Meta) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tenant(tenantID)
	if t.entries[meta.ID] == nil {
		src := g.caches.source(tenantID, meta, bucket.NewSource(g.bkt, tenantID, meta.ID))
		src.missing = func(ctx context.Context) { g.lookAgain(ctx, tenantID, meta.ID) }
		t.entries[meta.ID] = newEntry(meta, src)
		t.set.Add(meta)
		g.metrics.known.Inc()
	}
}

// missing returns the blocks on the list that were not seen. Those that came
// after begin are not missed.
func (g *Gateway) missing(tenantID string, there map[ulid.ULID]bool, begin time.Time) (out []ulid.ULID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.mu.tenants[tenantID]; t != nil {
		for id, e := range t.entries {
			if !there[id] && e.added.Before(begin) {
				out = append(out, id)
			}
		}
	}
	return out
}

// forget takes a block off the list.
func (g *Gateway) forget(tenantID string, id ulid.ULID) {
	var gone []*entry
	g.mu.Lock()
	if t := g.mu.tenants[tenantID]; t != nil && t.entries[id] != nil {
		gone = append(gone, t.entries[id])
		delete(t.entries, id)
		t.set.Remove(id)
		g.metrics.known.Dec()
	}
	g.mu.Unlock()
	g.release(gone)
}
