package app

import (
	"context"
	"os"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/app/selfprofile"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/push"
)

// The write path:
//
//	transport/push → distributor → ingester → db
//
// The ingester is made in keep.go; a profile that it has acknowledged is safe.

func (a *App) initDistributor() (services.Service, error) {
	logger := a.logger.With("component", Distributor)
	a.distributor = distributor.New(a.cfg.Distributor, a.cfg.Limits, a.ingester, a.registry, logger)
	a.serveAPI(push.New(a.distributor, logger).Routes())
	return nil, nil
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
