package ingester

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	drainPatience = 15 * time.Minute // members that are dead are forgotten by then
	drainPause    = 2 * time.Second  // between tries
)

// Drain gets an ingester ready to leave for good. From its call on no profile
// is taken in; what is in memory is written and shipped, and when it returns
// nil, all that the ingester has is in the bucket and shown by everybody who
// reads that. Reading goes on. What fails is tried again for a quarter of an
// hour; what is left then stays in the data folder.
func (i *Ingester) Drain(ctx context.Context) error {
	i.pushing.Lock() // waits for those that run
	i.draining = true
	i.pushing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	return i.HandOver(ctx)
}

// HandOver writes and ships what is in memory, and returns nil when all that the
// ingester has is in the bucket and shown by everybody who reads that. What
// fails is tried again until ctx ends.
func (i *Ingester) HandOver(ctx context.Context) error {
	for {
		err := i.Flush(ctx)
		if err == nil {
			err = i.each(ctx, i.handedOver)
		}
		if err == nil {
			return nil
		}
		i.deps.Logger.Warn("not everything is in the bucket yet, and known to be there", "err", err, "again_in", drainPause)
		select {
		case <-time.After(drainPause):
		case <-ctx.Done():
			return err
		}
	}
}

// handedOver returns nil if those who read the bucket show all blocks of a
// tenant.
func (i *Ingester) handedOver(ctx context.Context, inst *instance) error {
	if waiting := inst.db.Unshipped(); len(waiting) > 0 {
		return fmt.Errorf("%d blocks are not in the bucket yet", len(waiting))
	}
	var errs []error
	for _, b := range inst.db.Blocks() {
		if err := i.deps.InBucket(ctx, inst.tenant, &b.Meta); err != nil {
			errs = append(errs, fmt.Errorf("block %s: %w", b.ID, err))
		}
	}
	return errors.Join(errs...)
}
