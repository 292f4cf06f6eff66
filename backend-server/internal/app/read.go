package app

import (
	"context"
	"time"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/queryfrontend"
	transport "github.com/hearth-profiles/hearth/backend-server/internal/transport/query"
)

// The read path:
//
//	transport/query → query-frontend → querier → ingester, then store-gateway
//
// The order of the stores matters: data moves from the first to the second, so
// what the first does not show any more the second does already.

func (a *App) initQuerier() (services.Service, error) {
	a.querier = querier.New(a.cfg.Querier, store(a.ingester.View), store(a.gateway.View))
	return nil, nil
}

func (a *App) initQueryFrontend() (services.Service, error) {
	frontend := queryfrontend.New(a.cfg.QueryFrontend, a.querier, a.registry, time.Now)
	a.serveAPI(transport.New(frontend, a.logger.With("component", QueryFrontend), time.Now).Routes())
	return nil, nil
}

// store makes a role's View a querier.Store.
type store func(ctx context.Context, tenantID string, r profile.TimeRange) ([]query.Queryable, func(), error)

// View implements querier.Store.
func (s store) View(ctx context.Context, tenantID string, r profile.TimeRange) (querier.View, error) {
	units, release, err := s(ctx, tenantID, r)
	return querier.View{Units: units, Release: release}, err
}
