package app

import (
	"time"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/queryfrontend"
	"github.com/hearth-profiles/hearth/backend-server/internal/scheduler"
	transport "github.com/hearth-profiles/hearth/backend-server/internal/transport/query"
)

// The read path:
//
//	transport/query → query-frontend → query-scheduler → querier → ingesters, store-gateways
//
// Alone, the order of the stores matters: data moves from the first to the
// second, so what the first does not show any more the second does already.

func (a *App) initQueryScheduler() (services.Service, error) {
	a.scheduler = scheduler.New(a.cfg.Scheduler, scheduler.Deps{Registerer: a.registry, Logger: a.logger.With("component", QueryScheduler)})
	return a.join(cluster.QueryScheduler, cluster.Role{Service: a.scheduler})
}

func (a *App) initQuerier() (services.Service, error) {
	if a.peers == nil {
		a.querier = querier.New(querier.NewAlone(a.engine, a.ingester.View, a.gateway.View))
		return nil, nil
	}
	deps := querier.Deps{Registerer: a.registry, Logger: a.logger.With("component", Querier)}
	a.querier = querier.New(querier.NewReplicas(a.directory(), a.cfg.Cluster.Instance.Zone, deps))
	return nil, nil
}

func (a *App) initQueryFrontend() (services.Service, error) {
	frontend := queryfrontend.New(a.cfg.QueryFrontend, a.querier, a.registry, time.Now)
	a.serveAPI(transport.New(frontend, a.logger.With("component", QueryFrontend), time.Now).Routes())
	return nil, nil
}
