// Command gpx_hearth is the backend of the app and of its data source.
//
// Grafana starts it once for each of them and does not say for which, so every
// request is sent on by what it carries: settings of a data source, or none.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/tracing"

	"github.com/hearth-profiles/hearth/pkg/embedded"
)

const pluginID = "hearth-profiles-app"

func main() {
	if err := run(); err != nil {
		slog.Error("hearth plugin", "error", err)
		os.Exit(1)
	}
}

func run() error {
	backend.SetupPluginEnvironment(pluginID)
	if err := backend.SetupTracer(pluginID, tracing.Opts{}); err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	emb := newEmbedded(pluginLogger(os.Stderr))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { emb.Run(ctx) })
	stop := func() { // the server, before the process goes
		cancel()
		running.Wait()
	}
	defer stop()
	go func() { // ends with ctx
		if orphaned(ctx, os.Getppid, time.Second) {
			stop()
			os.Exit(0)
		}
	}()
	d := newDispatcher(emb)
	return backend.Manage(pluginID, backend.ServeOpts{
		CheckHealthHandler:  d,
		CallResourceHandler: d,
		QueryDataHandler:    d,
	})
}

// newEmbedded never fails: an installation that names a server must work
// where there is no place for the embedded one.
func newEmbedded(logger *slog.Logger) *embedded.Supervisor {
	executable, _ := os.Executable() // one hint less
	cache, _ := os.UserCacheDir()    // not every service account has one
	open := embedded.OpenHearth(logger)
	dir, err := embedded.Folder(embedded.Environment{Getenv: os.Getenv, Executable: executable, CacheDir: cache})
	if err != nil {
		open = func(string, string) (embedded.Server, error) { return nil, err }
	}
	return embedded.New(embedded.Options{
		Dir:    dir,
		Addr:   cmp.Or(os.Getenv("HEARTH_EMBEDDED_ADDR"), os.Getenv("GF_PLUGIN_LISTEN_ADDR")),
		Open:   open,
		Logger: logger,
	})
}

// orphaned waits until the process that started this one is gone. A Grafana
// that is killed leaves its plugins behind, and a server of a plugin version
// that was replaced must not go on serving. It returns false when ctx ends.
func orphaned(ctx context.Context, getppid func() int, interval time.Duration) bool {
	parent := getppid()
	for getppid() == parent {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(interval):
		}
	}
	return true
}
