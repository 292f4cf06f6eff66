package storegateway

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// entry is a block of the bucket. As a query.Queryable it opens itself when
// its content is asked for.
type entry struct {
	meta    *block.Meta
	src     block.Source
	caches  *caches
	metrics *metrics
	added   time.Time

	// Guarded by Gateway.mu. One reference is held while the block is listed,
	// one by each view.
	refs    int
	lastUse time.Time

	// lock guards opened. It is a channel, so that who waits for somebody
	// else's slow open can give up.
	lock   chan struct{}
	opened *block.Block
}

func newEntry(meta *block.Meta, src *source) *entry {
	return &entry{meta: meta, src: src, caches: src.caches, metrics: src.caches.metrics, added: time.Now(), refs: 1, lock: make(chan struct{}, 1)}
}

// block returns the block, opened if need be. A failure is not remembered.
func (e *entry) block(ctx context.Context) (*block.Block, error) {
	select {
	case e.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.lock }()
	if e.opened != nil {
		return e.opened, nil
	}
	b, err := block.Open(ctx, e.meta, e.src)
	if err != nil {
		e.metrics.openFailures.Inc()
		return nil, fmt.Errorf("open block %s of the bucket: %w", e.meta.ID, err)
	}
	e.metrics.open.Inc()
	e.opened = b
	return b, nil
}

// close closes the block if it is open. No view may hold it (G2).
func (e *entry) close() error {
	e.lock <- struct{}{}
	defer func() { <-e.lock }()
	if e.opened == nil {
		return nil
	}
	b := e.opened
	e.opened = nil
	e.caches.memory.Drop(b)
	e.metrics.open.Dec()
	return b.Close()
}

// Origin implements query.Queryable.
func (e *entry) Origin() query.Origin { return e.meta.Origin() }

// TimeRange implements query.Queryable.
func (e *entry) TimeRange() profile.TimeRange {
	return profile.TimeRange{Start: e.meta.MinTime, End: e.meta.MaxTime}
}

// Select implements query.Queryable.
func (e *entry) Select(ctx context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	b, err := e.block(ctx)
	if err != nil {
		return nil, err
	}
	defer e.caches.memory.Used(b)
	return b.Select(ctx, matchers...)
}

// Symbols implements query.Queryable.
func (e *entry) Symbols(ctx context.Context, partition uint32) (*symbols.Table, error) {
	b, err := e.block(ctx)
	if err != nil {
		return nil, err
	}
	defer e.caches.memory.Used(b)
	return b.Symbols(ctx, partition)
}

// Scan implements query.Queryable.
func (e *entry) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	b, err := e.block(ctx)
	if err != nil {
		return err
	}
	defer e.caches.memory.Used(b)
	return b.Scan(ctx, req, fn)
}

// Groups implements query.Summed. A block that was written without sums has no
// groups.
func (e *entry) Groups(ctx context.Context, partition uint32) ([]query.Group, error) {
	b, err := e.block(ctx)
	if err != nil {
		return nil, err
	}
	defer e.caches.memory.Used(b)
	return b.Groups(ctx, partition)
}

// ScanSums implements query.Summed.
func (e *entry) ScanSums(ctx context.Context, partition uint32, g query.Group, r profile.TimeRange, fn func(*query.Row) error) (bool, error) {
	b, err := e.block(ctx)
	if err != nil {
		return false, err
	}
	defer e.caches.memory.Used(b)
	return b.ScanSums(ctx, partition, g, r, fn)
}

// Digests implements query.Digested.
func (e *entry) Digests(ctx context.Context, partition uint32, rows []uint32) ([]query.RowsDigest, bool, error) {
	b, err := e.block(ctx)
	if err != nil {
		return nil, false, err
	}
	defer e.caches.memory.Used(b)
	return b.Digests(ctx, partition, rows)
}

// Distant implements query.Distant.
func (e *entry) Distant() bool { return true }

var (
	_ query.Summed   = (*entry)(nil)
	_ query.Digested = (*entry)(nil)
	_ query.Distant  = (*entry)(nil)
)
