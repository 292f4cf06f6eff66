package ingester

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

const (
	cutInterval = 5 * time.Second // how often heads are looked at
	parallel    = 2               // databases worked on at a time
)

// start opens the databases of all tenants that have one on disk.
func (i *Ingester) start(ctx context.Context) error {
	begin := time.Now()
	names, err := i.onDisk()
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, name := range names {
		g.Go(func() error {
			_, err := i.open(gctx, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return errors.Join(err, i.closeAll())
	}
	i.metrics.replay.Set(time.Since(begin).Seconds())
	i.deps.Logger.Info("databases opened", "tenants", len(names), "took", time.Since(begin))
	i.phase.Store(running)
	return nil
}

// onDisk lists the tenants that have a database folder.
func (i *Ingester) onDisk() ([]string, error) {
	root := filepath.Join(i.cfg.DataPath, tenantsDir)
	names, err := i.deps.FS.List(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, name := range names {
		info, statErr := i.deps.FS.Stat(filepath.Join(root, name))
		if err = errors.Join(err, statErr); statErr == nil && info.Dir && tenant.Validate(name) == nil {
			out = append(out, name)
		}
	}
	return out, err
}

func (i *Ingester) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { i.cutLoop(ctx); return nil })
	g.Go(func() error { i.shipLoop(ctx); return nil })
	return g.Wait()
}

// stop waits for requests to end and closes the databases. Heads stay in their
// write-ahead logs.
func (i *Ingester) stop(error) error {
	i.phase.Store(stopped)
	i.gate.Lock()
	defer i.gate.Unlock()
	return i.closeAll()
}

func (i *Ingester) closeAll() error {
	var errs []error
	for _, inst := range i.instances() {
		if err := inst.db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close database of tenant %s: %w", inst.tenant, err))
		}
	}
	return errors.Join(errs...)
}

// cutLoop cuts heads that are old or large.
func (i *Ingester) cutLoop(ctx context.Context) {
	tick := time.NewTicker(cutInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := i.cut(ctx, now); err != nil && ctx.Err() == nil {
				i.metrics.flushFailures.Inc()
				i.deps.Logger.Error("cut failed; the heads stay in memory and in the write-ahead log, and are tried again", "err", err)
			}
		}
	}
}

// cut cuts the heads that have reached their age or size, and the largest one
// if all together are too large.
func (i *Ingester) cut(ctx context.Context, now time.Time) error {
	err := i.each(ctx, func(ctx context.Context, inst *instance) error {
		done, err := inst.db.MaybeFlush(ctx, now)
		if done {
			i.wantShipping()
		}
		return err
	})
	var largest *instance
	var most, sum int64
	for _, inst := range i.instances() {
		n := inst.db.HeadStats().Bytes
		if sum += n; n > most {
			largest, most = inst, n
		}
	}
	if sum <= i.cfg.headBytes() || largest == nil {
		return err
	}
	defer i.wantShipping()
	return errors.Join(err, largest.db.Flush(ctx))
}

// each calls fn for every open database, a few at a time, and joins the errors.
func (i *Ingester) each(ctx context.Context, fn func(context.Context, *instance) error) error {
	instances := i.instances()
	errs := make([]error, len(instances))
	var g errgroup.Group
	g.SetLimit(parallel)
	for n, inst := range instances {
		g.Go(func() error {
			if err := fn(ctx, inst); err != nil {
				errs[n] = fmt.Errorf("tenant %s: %w", inst.tenant, err)
			}
			return nil
		})
	}
	_ = g.Wait()
	return errors.Join(errs...)
}

// Flush cuts all heads, writes their blocks and ships everything. When it
// returns nil, all that was pushed before is in the bucket.
func (i *Ingester) Flush(ctx context.Context) error {
	if err := i.enter(); err != nil {
		return err
	}
	defer i.gate.RUnlock()
	return i.each(ctx, func(ctx context.Context, inst *instance) error {
		if err := inst.db.Flush(ctx); err != nil {
			i.metrics.flushFailures.Inc()
			return fmt.Errorf("flush: %w", err)
		}
		return i.ship(ctx, inst)
	})
}

func (i *Ingester) stats() (sum db.HeadStats, tenants int) {
	instances := i.instances()
	for _, inst := range instances {
		s := inst.db.HeadStats()
		sum.Bytes += s.Bytes
		sum.Series += s.Series
		sum.Profiles += s.Profiles
	}
	return sum, len(instances)
}
