package app

import (
	"context"
	"log/slog"
	"os"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/app/selfprofile"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/push"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/replicate"
)

// The write path:
//
//	transport/push → distributor → ingester → db
//	                      └─ ring → transport/replicate → the other replicas' ingesters
//
// The ingester is made in keep.go; a profile that it has acknowledged is safe.

func (a *App) initDistributor() (services.Service, error) {
	logger := a.logger.With("component", Distributor)
	if a.peers == nil {
		a.distributor = distributor.New(a.cfg.Distributor, a.cfg.Limits, a.ingester, a.registry, logger)
	} else {
		a.distributor = a.replicated(logger)
	}
	a.serveAPI(push.New(a.distributor, logger).Routes())
	return a.join(cluster.Distributor, cluster.Role{})
}

// replicated returns a distributor in front of the ingesters of the cluster.
func (a *App) replicated(logger *slog.Logger) *distributor.Distributor {
	p := a.peers
	p.pushes = replicate.NewClient(p.pool, a.registry, logger)
	deps := distributor.ReplicasDeps{Ring: p.rings[cluster.Ingester], ID: a.cfg.Cluster.Instance.ID, Remote: p.pushes, Registerer: a.registry}
	if a.ingester != nil {
		deps.Local = a.ingester
	}
	sharers := func() int { return len(p.rings[cluster.Distributor].Active()) }
	a.checks = append(a.checks, check{Distributor, func() error {
		_, err := p.rings[cluster.Ingester].Replicas(tenant.Anonymous, 0)
		return err
	}})
	return distributor.NewReplicated(a.cfg.Distributor, a.cfg.Limits, distributor.NewReplicas(a.cfg.Distributor, deps), sharers, a.registry, logger)
}

// initSelfProfiling makes the shortest write path there is: our own profiles,
// into our own distributor.
func (a *App) initSelfProfiling() (services.Service, error) {
	if !a.cfg.SelfProfiling {
		return nil, nil
	}
	labels := []profile.LabelPair{
		{Name: profile.LabelServiceName, Value: "hearth"},
		{Name: "version", Value: buildinfo.Get().Version},
		{Name: "target", Value: a.cfg.Target.String()},
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		labels = append(labels, profile.LabelPair{Name: "hostname", Value: host})
	}
	a.profiler = selfprofile.New(labels, a.pushOwn, a.logger.With("component", selfProfiling))
	return a.profiler, nil
}

func (a *App) pushOwn(ctx context.Context, own []selfprofile.Profile) error {
	series := make([]upload.Series, len(own))
	for i, p := range own {
		series[i] = upload.Series{Labels: p.Labels, Profiles: []upload.Profile{{Data: p.Raw}}}
	}
	result, err := a.distributor.Push(tenant.With(ctx, tenant.Anonymous), series)
	if err != nil {
		return err
	}
	return result.Err()
}
