package ingester

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
)

// instance is a tenant's database, or the attempt to open it.
type instance struct {
	tenant string
	opened chan struct{} // closed when db or err is set
	db     *db.DB
	err    error

	// shipping is held while blocks are being shipped, so that the loop and a
	// flush do not ship the same ones.
	shipping sync.Mutex

	seen seen

	flushing atomic.Bool // the cut loop has a flush of it running
	// notBefore is when the cut loop may try again after a failure.
	notBefore atomic.Int64
}

func (n *instance) isOpen() bool {
	select {
	case <-n.opened:
		return n.err == nil
	default:
		return false
	}
}

// wait returns the instance once it is open.
func (n *instance) wait(ctx context.Context) (*instance, error) {
	select {
	case <-n.opened:
		if n.err != nil {
			return nil, n.err
		}
		return n, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open returns the tenant's instance and opens its database if need be (I1). A
// failed attempt is forgotten, so that the next one tries again.
func (i *Ingester) open(ctx context.Context, tenantID string) (*instance, error) {
	i.mu.Lock()
	inst, ok := i.mu.tenants[tenantID]
	if !ok {
		inst = &instance{tenant: tenantID, opened: make(chan struct{})}
		i.mu.tenants[tenantID] = inst
	}
	i.mu.Unlock()
	if ok {
		return inst.wait(ctx)
	}

	// Others may be waiting for this too, so it outlives the first request.
	inst.db, inst.err = i.openDB(context.WithoutCancel(ctx), tenantID)
	if inst.err != nil {
		inst.err = fmt.Errorf("open database of tenant %s: %w", tenantID, inst.err)
		i.mu.Lock()
		delete(i.mu.tenants, tenantID)
		i.mu.Unlock()
	}
	close(inst.opened)
	return inst.wait(ctx)
}

func (i *Ingester) openDB(ctx context.Context, tenantID string) (*db.DB, error) {
	logger := i.deps.Logger.With("tenant", tenantID)
	return db.Open(ctx, i.tenantDir(tenantID), db.Options{
		FS:               i.deps.FS,
		MaxBlockDuration: i.cfg.MaxBlockDuration,
		Budget:           i.budget,
		RetryWindow:      i.cfg.RetryWindow,
		WALSync:          i.cfg.WALSync,
		BlockCompression: i.cfg.Compression,
		Logger:           logger,
		Events:           i.metrics.events(logger),
	})
}

// existing returns the tenant's instance if it has one, else nil.
func (i *Ingester) existing(ctx context.Context, tenantID string) (*instance, error) {
	i.mu.Lock()
	inst, ok := i.mu.tenants[tenantID]
	i.mu.Unlock()
	if !ok {
		return nil, nil
	}
	return inst.wait(ctx)
}
