package ingester

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

const (
	shipInterval = time.Minute // between looks for blocks that nobody announced
	firstPause   = time.Second // after a failure; doubled up to shipInterval
)

// wantShipping wakes the ship loop.
func (i *Ingester) wantShipping() {
	select {
	case i.kick <- struct{}{}:
	default:
	}
}

// shipLoop ships finished blocks, those of an earlier run at once. After a
// failure it waits longer and longer, whatever is announced meanwhile.
func (i *Ingester) shipLoop(ctx context.Context) {
	pause := firstPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	kick := i.kick
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-kick:
		}
		err := i.each(ctx, i.ship)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			i.deps.Logger.Warn("shipping failed; the blocks wait on disk", "err", err, "again_in", pause)
			timer.Reset(pause)
			kick, pause = nil, min(2*pause, shipInterval)
		default:
			timer.Reset(shipInterval)
			kick, pause = i.kick, firstPause
		}
	}
}

// ship brings all blocks of a tenant that are not in the bucket there.
func (i *Ingester) ship(ctx context.Context, inst *instance) error {
	inst.shipping.Lock()
	defer inst.shipping.Unlock()
	var errs []error
	for _, b := range inst.db.Unshipped() {
		begin := time.Now()
		err := i.shipBlock(ctx, inst, b)
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		if err != nil {
			i.metrics.shipFailures.Inc()
			errs = append(errs, fmt.Errorf("ship: %w", err))
			if fault.Is(err, fault.Corrupt) { // it may be our copy
				errs = append(errs, inst.db.Check(ctx, b.ID))
			}
			continue
		}
		i.metrics.shipDuration.Observe(time.Since(begin).Seconds())
		i.metrics.shippedBytes.Add(float64(b.Meta.Size()))
		i.deps.Logger.Info("block shipped", "tenant", inst.tenant, "block", b.ID, "took", time.Since(begin))
	}
	return errors.Join(errs...)
}

func (i *Ingester) shipBlock(ctx context.Context, inst *instance, b db.LocalBlock) error {
	meta, err := vfs.ReadFile(i.deps.FS, filepath.Join(b.Dir, block.MetaFile))
	if err != nil {
		return fmt.Errorf("block %s: %w", b.ID, err)
	}
	upload := bucket.Block{
		Tenant: inst.tenant,
		ID:     b.ID,
		Meta:   meta,
		Open:   func(name string) (io.ReadCloser, error) { return i.deps.FS.Open(filepath.Join(b.Dir, name)) },
	}
	for _, f := range b.Meta.Files {
		upload.Files = append(upload.Files, bucket.File(f))
	}
	if err := bucket.Upload(ctx, i.deps.Bucket, upload); err != nil {
		if fault.KindOf(err) == fault.Unknown {
			err = fault.Mark(fault.Unavailable, err)
		}
		return err
	}
	i.deps.Shipped(ctx, inst.tenant, b.ID)
	if err := inst.db.MarkShipped(b.ID, time.Now()); err != nil {
		return fmt.Errorf("block %s: %w", b.ID, err)
	}
	return nil
}
