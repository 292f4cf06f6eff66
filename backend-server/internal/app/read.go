package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/queryfrontend"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
	"github.com/hearth-profiles/hearth/backend-server/internal/scheduler"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/job"
	transport "github.com/hearth-profiles/hearth/backend-server/internal/transport/query"
)

// The read path:
//
//	transport/query → query-frontend → query-scheduler → querier → ingesters, store-gateways
//
// Alone, the order of the stores matters: data moves from the first to the
// second, so what the first does not show any more the second does already.

func (a *App) initQueryScheduler() (services.Service, error) {
	a.scheduler = scheduler.New(a.cfg.Scheduler, scheduler.Deps{
		OneTenant: !a.cfg.HTTP.Multitenancy, Registerer: a.registry, Logger: a.logger.With("component", QueryScheduler), Now: time.Now,
	})
	return a.join(cluster.QueryScheduler, cluster.Role{Service: a.scheduler})
}

func (a *App) initQuerier() (services.Service, error) {
	logger := a.logger.With("component", Querier)
	if a.peers == nil {
		a.querier = querier.New(querier.NewAlone(a.engine, replica.ByRange(a.ingester.View), a.inGateway).Without(a.deleted))
	} else {
		d := a.directory()
		a.querier = querier.New(querier.NewReplicas(d, a.cfg.Cluster.Instance.Zone, querier.Deps{Registerer: a.registry, Logger: logger}))
		a.checks = append(a.checks, check{Querier, func() error {
			_, err := d.Ingesters(context.Background(), tenant.Anonymous)
			return err
		}})
	}
	workers := a.cfg.Workers.Workers(a.cfg.Storage.Backend != bucket.Filesystem)
	if a.peers == nil || a.plays(QueryScheduler) && a.plays(QueryFrontend) {
		return a.scheduler.Workers(workers, a.querier), nil
	}
	return job.NewWorkers(a.querier, job.WorkersDeps{
		Querier: a.cfg.Cluster.Instance.ID, Workers: workers, Schedulers: a.schedulers, Pool: a.peers.pool,
		Registerer: a.registry, Logger: logger, Tracer: a.tracing.Provider(),
	}), nil
}

// schedulers lists the query-schedulers of the cluster.
func (a *App) schedulers() []cluster.Peer { return a.peers.rings[cluster.QueryScheduler].Active() }

// asker is what the query-frontend puts its questions to: the query-scheduler of
// this process if it has one.
func (a *App) asker(logger *slog.Logger) question.Asker {
	if a.scheduler != nil {
		return a.scheduler
	}
	a.checks = append(a.checks, check{QueryFrontend, func() error {
		if len(a.schedulers()) == 0 {
			return errors.New("no query-scheduler is known")
		}
		return nil
	}})
	return a.distantSchedulers(logger)
}

// distantSchedulers is the client of query-schedulers in other processes; roles
// of this one share it.
func (a *App) distantSchedulers(logger *slog.Logger) *job.Client {
	if a.jobs == nil {
		a.jobs = job.NewClient(a.schedulers, a.peers.pool, a.registry, logger)
	}
	return a.jobs
}

func (a *App) initQueryFrontend() (services.Service, error) {
	logger := a.logger.With("component", QueryFrontend)
	frontend := queryfrontend.New(a.cfg.frontend(), a.asker(logger), a.registry, time.Now)
	a.serveAPI(transport.New(frontend, logger, time.Now).Routes())
	return nil, nil
}

// clusterSplit is the length of the parts of queries in a cluster.
const clusterSplit = 6 * time.Hour

// frontend returns the settings of the query-frontend. Alone, sums in advance
// answer whole queries faster than it takes to see whether a kept answer is
// still good.
func (c *Config) frontend() queryfrontend.Config {
	out := c.QueryFrontend
	switch {
	case c.Cluster.Alone():
		out.CacheBytes = 0
	case out.SplitInterval == 0:
		out.SplitInterval = clusterSplit
	}
	return out
}
