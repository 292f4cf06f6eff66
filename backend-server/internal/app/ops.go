package app

import (
	"context"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/http/pprof"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/http"
)

// check is something that must be right for the process to be ready.
type check struct {
	name string
	ask  func() error
}

// Ready tells what keeps the process from reading or writing, or nil.
func (a *App) Ready(context.Context) error {
	if a.stopping.Load() {
		return errors.New("the process is stopping")
	}
	for _, c := range a.checks {
		if err := c.ask(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if !a.up.Load() {
		return errors.New("the process is starting")
	}
	return nil
}

// operations adds the routes for those who run the process.
func (a *App) operations() {
	info := buildinfo.Get()
	links := []http.Link{
		{Path: "/ready", Text: "200 when reads and writes work, else why not"},
		{Path: "/metrics", Text: "metrics in the Prometheus format"},
		{Path: "/api/v1/status/buildinfo", Text: "version"},
		{Path: "/api/v1/status/config", Text: "all settings, as a configuration file"},
		{Path: "/debug/pprof/", Text: "profiles of this process, as Go makes them"},
	}
	a.http.HandleOps("GET /ready", http.Ready(a.Ready))
	a.http.HandleOps("GET /metrics", http.Metrics(a.registry))
	a.http.HandleOps("GET /api/v1/status/buildinfo", http.BuildInfo(info))
	a.http.HandleOps("GET /api/v1/status/config", http.YAML(a.cfg.YAML))
	a.http.HandlePprof(a.cpuProfile())
	if a.ingester != nil {
		a.http.HandleOps("POST /ingester/flush", http.Flush(a.ingester.Flush, a.logger))
	}
	if a.compactor != nil {
		a.http.HandleOps("POST /compactor/run", http.Flush(a.compactor.Round, a.logger))
	}
	if a.peers != nil {
		for pattern, h := range a.peers.cluster.Routes() {
			a.http.HandleOps(pattern, h)
		}
		links = append(links, http.Link{Path: "/ring", Text: "members of the cluster, by ring"}, http.Link{Path: "/memberlist", Text: "members that gossip"})
		if a.ingester != nil {
			a.http.HandleOps("/ingester/prepare-shutdown", http.Switch(&a.leaves))
		}
	}
	a.http.HandleOps("GET /{$}", http.StatusPage(info, links))
}

// cpuProfile is Go's handler for CPU profiles; our own profiling gives way.
func (a *App) cpuProfile() nethttp.Handler {
	if a.profiler == nil {
		return nethttp.HandlerFunc(pprof.Profile)
	}
	return a.profiler.CPU(nethttp.HandlerFunc(pprof.Profile))
}
