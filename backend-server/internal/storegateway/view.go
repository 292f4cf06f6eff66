package storegateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Wanted says which blocks a question is about.
type Wanted struct {
	Range profile.TimeRange
	// Matchers is a union of lists of matchers. Without any, everything matches.
	Matchers [][]*labels.Matcher
	// Only are the blocks to look at; nil: all that count.
	Only []ulid.ULID
}

// concerns reports whether a block may have something that is wanted.
func (w *Wanted) concerns(m *block.Meta) bool {
	return m.TimeRange().Overlaps(w.Range) && (len(w.Matchers) == 0 || slices.ContainsFunc(w.Matchers, m.MayMatch))
}

// Overview tells what there is. Any gateway may be asked for any of the blocks.
func (g *Gateway) Overview(_ context.Context, tenantID string, w Wanted) (catalog.Overview, error) {
	rules, err := g.Deleted(tenantID)
	if err != nil {
		return catalog.Overview{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	out := catalog.Overview{Deleted: rules}
	if t := g.mu.tenants[tenantID]; t != nil {
		for _, m := range t.set.Counting() {
			if w.concerns(m) {
				out.Blocks = append(out.Blocks, m.ID)
			}
		}
	}
	return out, g.mu.unlisted
}

// Deleted returns what is deleted of a tenant, retention included.
func (g *Gateway) Deleted(tenantID string) (deletion.Rules, error) {
	var retention deletion.Rules
	if g.deps.Retention != nil {
		retention = g.deps.Retention(tenantID)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.unlisted != nil {
		return nil, g.mu.unlisted
	}
	if t := g.mu.tenants[tenantID]; t != nil {
		return slices.Concat(t.deleted, retention), t.unreadable
	}
	return retention, nil
}

// View returns the blocks that are wanted, and a function that must be called
// once when the reader is done. A block that is named but not known is looked
// for in the bucket; it is NotFound if it is not there.
func (g *Gateway) View(ctx context.Context, tenantID string, w Wanted) ([]query.Queryable, func(), error) {
	for _, id := range w.Only {
		if err := g.Learn(ctx, tenantID, id); err != nil {
			return nil, nil, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.unlisted != nil {
		return nil, nil, g.mu.unlisted
	}
	var held []*entry
	if t := g.mu.tenants[tenantID]; t != nil {
		if t.unreadable != nil {
			return nil, nil, t.unreadable
		}
		if w.Only == nil {
			for _, m := range t.set.Counting() {
				if w.concerns(m) {
					held = append(held, t.entries[m.ID])
				}
			}
		}
		for _, id := range w.Only {
			e := t.entries[id]
			if e == nil {
				return nil, nil, notThere(tenantID, id)
			}
			held = append(held, e)
		}
	}
	units := make([]query.Queryable, len(held))
	now := time.Now()
	for i, e := range held {
		e.refs++
		e.lastUse = now
		units[i] = e
	}
	return units, sync.OnceFunc(func() { g.release(held) }), nil
}
