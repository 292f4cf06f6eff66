// Command gpx_hearth is the backend of the app and of its data source.
//
// Grafana starts it once for each of them and does not say for which, so every
// request is sent on by what it carries: settings of a data source, or none.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

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
	emb, err := newEmbedded(pluginLogger(os.Stderr))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { emb.Run(ctx) })
	defer func() { // stop the server before the process goes
		cancel()
		running.Wait()
	}()
	d := newDispatcher(emb)
	return backend.Manage(pluginID, backend.ServeOpts{
		CheckHealthHandler:  d,
		CallResourceHandler: d,
		QueryDataHandler:    d,
	})
}

func newEmbedded(logger *slog.Logger) (*embedded.Supervisor, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("own path: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "" // not every service account has one
	}
	dir, err := embedded.Folder(embedded.Environment{Getenv: os.Getenv, Executable: executable, CacheDir: cache})
	if err != nil {
		return nil, err
	}
	return embedded.New(embedded.Options{
		Dir:    dir,
		Addr:   os.Getenv("HEARTH_EMBEDDED_ADDR"),
		Open:   embedded.OpenHearth(logger),
		Logger: logger,
	}), nil
}
