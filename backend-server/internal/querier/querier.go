// Package querier answers queries from all stores that hold a tenant's data.
//
// A store shows its data as a list of units, heads and blocks, that belong to
// the query until they are released. The same profiles may be there twice: a
// block lies on an ingester's disk and in the bucket, and for a moment both a
// head and the block that was made from it can be seen. So before a question is
// put to the engine, the units are sorted out:
//
//	D1  of units with the same ID the first one stays; stores are asked in
//	    order, so that is the one of the earlier store;
//	D2  a unit whose Parent is the ID of another unit is left out: the head has
//	    all the block has, or more;
//	D3  what is left is handed to the engine in the order in which it came.
//
// A store is asked after all stores before it have answered. Data moves from
// earlier stores to later ones, never back, and a store that gives data up has
// the next one hold it first: what an early store no longer shows, a later one
// asked afterwards does.
package querier

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Store is a place where profiles lie.
type Store interface {
	// View returns the tenant's data that may have profiles in the range. A
	// tenant without data has an empty view.
	View(ctx context.Context, tenantID string, r profile.TimeRange) (View, error)
}

// View is some data, good until Release is called. Release may be nil.
type View struct {
	Units   []query.Queryable
	Release func()
}

// Querier answers queries. It is safe for concurrent use.
type Querier struct {
	engine *query.Engine
	stores []Store
}

// New returns a Querier over the given stores: the one that data comes to first
// goes first.
func New(cfg Config, stores ...Store) *Querier {
	return &Querier{engine: query.NewEngine(cfg.limits()), stores: stores}
}

// eternity is all time that queries know of.
var eternity = profile.TimeRange{Start: 0, End: 253_402_300_799_999}

// with opens the data of the context's tenant, puts a question to it and
// releases it.
func with[T any](ctx context.Context, q *Querier, r profile.TimeRange, ask func([]query.Queryable) (T, error)) (T, error) {
	return withTenant(ctx, q, r, func(_ string, units []query.Queryable) (T, error) { return ask(units) })
}

// withTenant is with for a question that needs to know the tenant.
func withTenant[T any](ctx context.Context, q *Querier, r profile.TimeRange, ask func(string, []query.Queryable) (T, error)) (T, error) {
	var none T
	id, err := tenant.From(ctx)
	if err != nil {
		return none, err
	}
	var units []query.Queryable
	for _, s := range q.stores {
		view, err := s.View(ctx, id, r)
		if view.Release != nil {
			defer view.Release()
		}
		if err != nil {
			return none, fmt.Errorf("open data: %w", err)
		}
		units = append(units, view.Units...)
	}
	return ask(id, distinct(units))
}

// distinct sorts out units that hold the same profiles.
func distinct(units []query.Queryable) []query.Queryable {
	present := make(map[ulid.ULID]bool, len(units))
	for _, u := range units {
		present[u.Origin().ID] = true
	}
	out := make([]query.Queryable, 0, len(units))
	taken := make(map[ulid.ULID]bool, len(units))
	for _, u := range units {
		origin := u.Origin()
		if taken[origin.ID] || origin.Parent != (ulid.ULID{}) && present[origin.Parent] {
			continue
		}
		taken[origin.ID] = true
		out = append(out, u)
	}
	return out
}

// Tree merges what is selected into a call tree.
func (q *Querier) Tree(ctx context.Context, sel query.Selection) (*tree.Tree, error) {
	return withTenant(ctx, q, sel.Range, func(id string, units []query.Queryable) (*tree.Tree, error) {
		return q.engine.Tree(ctx, id, units, sel)
	})
}

// Functions sums what is selected by function.
func (q *Querier) Functions(ctx context.Context, sel query.Selection) (*query.FunctionSums, error) {
	return withTenant(ctx, q, sel.Range, func(id string, units []query.Queryable) (*query.FunctionSums, error) {
		return q.engine.Functions(ctx, id, units, sel)
	})
}

// Profile merges what is selected into one profile.
func (q *Querier) Profile(ctx context.Context, sel query.Selection) (*profile.Profile, error) {
	return with(ctx, q, sel.Range, func(units []query.Queryable) (*profile.Profile, error) {
		return q.engine.Profile(ctx, units, sel)
	})
}

// TimeSeries returns totals over time.
func (q *Querier) TimeSeries(ctx context.Context, sel query.SeriesSelection) ([]series.Series, error) {
	return with(ctx, q, sel.Grid.Range(), func(units []query.Queryable) ([]series.Series, error) {
		return q.engine.TimeSeries(ctx, units, sel)
	})
}

// LabelNames returns the names of labels.
func (q *Querier) LabelNames(ctx context.Context, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
	return with(ctx, q, r, func(units []query.Queryable) ([]string, error) {
		return query.LabelNames(ctx, units, matchers, r)
	})
}

// LabelValues returns the values of a label.
func (q *Querier) LabelValues(ctx context.Context, name string, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
	return with(ctx, q, r, func(units []query.Queryable) ([]string, error) {
		return query.LabelValues(ctx, units, name, matchers, r)
	})
}

// LabelSets returns distinct combinations of labels.
func (q *Querier) LabelSets(ctx context.Context, matchers [][]*labels.Matcher, names []string, r profile.TimeRange) ([]labels.Labels, error) {
	return with(ctx, q, r, func(units []query.Queryable) ([]labels.Labels, error) {
		return query.LabelSets(ctx, units, matchers, names, r)
	})
}

// Types returns the profile types there are.
func (q *Querier) Types(ctx context.Context, r profile.TimeRange) ([]profile.Type, error) {
	return with(ctx, q, r, func(units []query.Queryable) ([]profile.Type, error) {
		return query.Types(ctx, units, r)
	})
}

// DataStats tells from when to when there is data.
func (q *Querier) DataStats(ctx context.Context) (query.Stats, error) {
	return with(ctx, q, eternity, func(units []query.Queryable) (query.Stats, error) {
		return query.DataStats(ctx, units)
	})
}

// Analyze tells how much a query would read.
func (q *Querier) Analyze(ctx context.Context, matchers []*labels.Matcher, r profile.TimeRange) (query.Impact, error) {
	return with(ctx, q, r, func(units []query.Queryable) (query.Impact, error) {
		return query.Analyze(ctx, units, matchers, r)
	})
}
