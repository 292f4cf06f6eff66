//go:build mage

// The targets of `go tool mage`. What they do is in tools/dev; the targets of
// Grafana's plugin SDK are there as plugin:… (plugin:buildAll builds the
// backend for every platform).
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/grafana/grafana-plugin-sdk-go/build"

	//mage:import plugin
	_ "github.com/grafana/grafana-plugin-sdk-go/build"

	"github.com/hearth-profiles/hearth/tools/dev"
)

// The SDK looks for plugin.json in src; ours is at the top.
var _ = build.SetBeforeBuildCallback(func(c build.Config) (build.Config, error) {
	c.PluginJSONPath = "."
	return c, nil
})

// Run builds everything, starts the server and opens the plugin in a browser; Ctrl-C ends it.
func Run(ctx context.Context) error { return dev.Run(ctx, os.Getenv("HEARTH_RUN_ONCE") != "") }

// Test runs all checks: Go, TypeScript, browser.
func Test(ctx context.Context) error { return dev.Test(ctx) }

// Lint runs the checks that run no tests.
func Lint(ctx context.Context) error { return dev.Lint(ctx) }

// Fuzz runs every fuzz target for 10 minutes, or for HEARTH_FUZZ_TIME.
func Fuzz(ctx context.Context) error { return dev.Fuzz(ctx) }

// Soak runs the tests that draw what they do with new seeds, each for 10 minutes, or for HEARTH_SOAK_TIME.
func Soak(ctx context.Context) error { return dev.Soak(ctx) }

// Bench runs the benchmarks of the code and of the whole server, see HEARTH_BENCH_… in tools/dev/bench.go.
func Bench(ctx context.Context) error { return dev.Bench(ctx) }

// Acceptance runs the server on every object store there is, each as a real process; see backend-server/tests/stores.
func Acceptance(ctx context.Context) error { return dev.Acceptance(ctx) }

// E2E builds everything and runs the browser tests.
func E2E(ctx context.Context) error {
	if err := dev.Build(ctx, os.Stdout); err != nil {
		return err
	}
	return dev.Browser(ctx, os.Stdout)
}

// Build makes dist/ (frontend and backend) and the server in bin/.
func Build(ctx context.Context) error { return dev.Build(ctx, os.Stdout) }

// Frontend bundles src/ into dist/.
func Frontend(ctx context.Context) error { return dev.Frontend(ctx, os.Stdout) }

// Backend builds the plugin's backend for this machine into dist/.
func Backend(ctx context.Context) error {
	return dev.Plugin(ctx, os.Stdout, runtime.GOOS, runtime.GOARCH)
}

// Server builds the server into bin/.
func Server(ctx context.Context) error { return dev.Server(ctx, os.Stdout) }
