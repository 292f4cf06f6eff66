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

// parallel is how many databases are worked on at a time.
const parallel = 2

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
	limits := i.budget.Limits()
	i.deps.Logger.Info("memory for heads", "limit", limits.Bytes, "tenant_limit", limits.TenantBytes, "used", i.budget.Used())
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
	g.Go(func() error { i.keepLoop(ctx); return nil })
	g.Go(func() error { i.diskLoop(ctx); return nil })
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
		if err := i.flushNow(ctx, inst); err != nil {
			i.metrics.flushFailures.Inc()
			return fmt.Errorf("flush: %w", err)
		}
		return i.ship(ctx, inst)
	})
}

// flushNow cuts a head as soon as there is a place.
func (i *Ingester) flushNow(ctx context.Context, inst *instance) error {
	select {
	case i.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-i.places }()
	return inst.db.Flush(ctx)
}

func (i *Ingester) stats() (sum db.HeadStats, tenants int) {
	instances := i.instances()
	for _, inst := range instances {
		s := inst.db.HeadStats()
		sum.Bytes += s.Bytes
		sum.Series += s.Series
		sum.Profiles += s.Profiles
		sum.LogBytes += s.LogBytes
	}
	return sum, len(instances)
}
