package app

import (
	"time"

	"github.com/grafana/dskit/services"

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
	a.querier = querier.New(querier.NewAlone(querier.NewEngine(a.cfg.Querier), a.ingester.View, a.gateway.View))
	return nil, nil
}

func (a *App) initQueryFrontend() (services.Service, error) {
	frontend := queryfrontend.New(a.cfg.QueryFrontend, a.querier, a.registry, time.Now)
	a.serveAPI(transport.New(frontend, a.logger.With("component", QueryFrontend), time.Now).Routes())
	return nil, nil
}
