package ingester

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

const (
	diskInterval   = time.Second // between looks at the disk
	retainInterval = time.Minute // between looks for blocks that have been here long enough
)

// keepLoop removes local blocks that are in the bucket: those that have been
// here long enough, and more when the disk gets full.
func (i *Ingester) keepLoop(ctx context.Context) {
	tick := time.NewTicker(diskInterval)
	defer tick.Stop()
	var tidied time.Time
	for {
		now := time.Now()
		if now.Sub(tidied) < retainInterval {
			_ = i.makeRoom(ctx, now) // if it cannot, Tidy says so every now and then
		} else {
			tidied = now
			if err := i.Tidy(ctx, now); err != nil && ctx.Err() == nil {
				i.deps.Logger.Warn("blocks could not be removed from the local disk", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// diskLoop looks at the disk. keepLoop does so too, but where those who read
// the bucket do not answer it is held up for long, and the disk would be full
// before pushes are refused.
func (i *Ingester) diskLoop(ctx context.Context) {
	tick := time.NewTicker(diskInterval)
	defer tick.Stop()
	for {
		if i.disk.look() > 0 {
			i.press()
			i.wantShipping()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Tidy removes local blocks that are in the bucket: the oldest ones, if the
// disk is low, until it is not, and those that were shipped long enough before
// now. The ingester does so by itself every minute.
func (i *Ingester) Tidy(ctx context.Context, now time.Time) error {
	return errors.Join(i.makeRoom(ctx, now), i.retain(ctx, now))
}

// makeRoom looks at the disk and, if it is low, removes the oldest blocks until
// it is not, has the others shipped and heads cut.
func (i *Ingester) makeRoom(ctx context.Context, now time.Time) error {
	missing := i.disk.look()
	if missing == 0 {
		return nil
	}
	i.press()
	i.wantShipping()
	var errs []error
	for _, c := range i.removable(now) {
		if missing <= 0 || ctx.Err() != nil {
			break
		}
		if err := i.drop(ctx, c, now, "disk"); err != nil {
			errs = append(errs, unlessSoon(err))
			continue
		}
		missing -= c.Meta.Size()
	}
	i.disk.look()
	return errors.Join(errs...)
}

// retain removes the blocks that were shipped long enough ago.
func (i *Ingester) retain(ctx context.Context, now time.Time) error {
	var errs []error
	for _, c := range i.removable(now) {
		if ctx.Err() != nil {
			break
		}
		if now.Sub(c.Shipped) >= i.cfg.Disk.LocalRetention {
			errs = append(errs, unlessSoon(i.drop(ctx, c, now, "retention")))
		}
	}
	return errors.Join(errs...)
}

// unlessSoon returns err unless it is errDropsSoon, which nobody has to be told.
func unlessSoon(err error) error {
	if errors.Is(err, errDropsSoon) {
		return nil
	}
	return err
}

// candidate is a block that may be removed.
type candidate struct {
	inst *instance
	db.LocalBlock
}

// removable returns the blocks of all tenants that may be removed, those with
// the oldest profiles first.
func (i *Ingester) removable(now time.Time) []candidate {
	var out []candidate
	for _, inst := range i.instances() {
		for _, b := range inst.db.Droppable(now) {
			out = append(out, candidate{inst, b})
		}
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return cmp.Compare(a.Meta.MaxTime, b.Meta.MaxTime) })
	return out
}

// errDropsSoon says that a block has to stay for a moment longer.
var errDropsSoon = errors.New("the block may go soon")

// drop removes a local block, having made sure that it is read from the bucket
// from then on (I4).
func (i *Ingester) drop(ctx context.Context, c candidate, now time.Time, reason string) error {
	if since := c.inst.seen.since(c.ID); !now.Before(since) && now.Sub(since) < i.cfg.DropGrace {
		return errDropsSoon
	}
	if err := i.deps.InBucket(ctx, c.inst.tenant, &c.Meta); err != nil {
		c.inst.seen.forget(c.ID)
		return fmt.Errorf("tenant %s: block %s stays: %w", c.inst.tenant, c.ID, err)
	}
	if now.Sub(c.inst.seen.first(c.ID, now)) < i.cfg.DropGrace {
		return errDropsSoon
	}
	err := c.inst.db.DropLocal(c.ID, now)
	if fault.Is(err, fault.NotFound) { // somebody else was quicker
		c.inst.seen.forget(c.ID)
		return nil
	}
	if err != nil {
		return fmt.Errorf("tenant %s: %w", c.inst.tenant, err)
	}
	c.inst.seen.forget(c.ID)
	i.metrics.dropped.WithLabelValues(reason).Inc()
	i.deps.Logger.Info("local block removed; it is read from the bucket now", "tenant", c.inst.tenant, "block", c.ID, "reason", reason, "bytes", c.Meta.Size())
	return nil
}
