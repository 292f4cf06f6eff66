package dev

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Where things are built.
const (
	distDir   = "dist"
	serverBin = "bin/hearth"
	hostBin   = "bin/hearth-host"
	hostWeb   = "tests/host/web"
	logDir    = "data/logs"
)

// hostVersions are the @grafana versions of the plugin host's pages; the first
// is the one that `run` shows.
var hostVersions = []string{"v11", "v13"}

// Build makes everything that is shipped: dist/ with frontend and backend, and
// the server.
func Build(ctx context.Context, out io.Writer) error {
	if err := Frontend(ctx, out); err != nil {
		return err
	}
	if err := Plugin(ctx, out, runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	return Server(ctx, out)
}

// Frontend bundles src/ into dist/, unless that is newer than all it is made of.
func Frontend(ctx context.Context, out io.Writer) error {
	if err := npmInstall(ctx, out, "."); err != nil {
		return err
	}
	sources := []string{"src", ".config", "package.json", "package-lock.json", "plugin.json", "README.md", "LICENSE"}
	return unlessNewer(out, filepath.Join(distDir, "module.js"), sources, func() error {
		return npmRun(ctx, out, ".", "build")
	})
}

// Plugin builds the plugin's backend into dist/ for one platform.
func Plugin(ctx context.Context, out io.Writer, goos, goarch string) error {
	name := fmt.Sprintf("gpx_hearth_%s_%s", goos, goarch)
	env := append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	if goos == "windows" {
		name += ".exe"
	}
	return runWith(ctx, out, env, "go", append(lean("build"), "-o", filepath.Join(distDir, name), "./pkg")...)
}

// lean adds to a command of go what makes a binary small that is shipped: no
// symbols for debuggers (stack traces and profiles do not need them), and none of
// gRPC's service mesh, which Google's storage client brings along, a fifth of
// everything.
func lean(command string) []string {
	return []string{command, "-tags=disable_grpc_modules", "-ldflags=-s -w"}
}

// Server builds the server into bin/.
func Server(ctx context.Context, out io.Writer) error {
	return run(ctx, out, "go", append(lean("build"), "-o", executable(serverBin), "./backend-server")...)
}

// Host builds the plugin host and its page for one @grafana version.
func Host(ctx context.Context, out io.Writer, version string) error {
	if err := run(ctx, out, "go", "build", "-o", executable(hostBin), "./tests/host"); err != nil {
		return err
	}
	dir := filepath.Join(hostWeb, version)
	if err := npmInstall(ctx, out, dir); err != nil {
		return err
	}
	sources := []string{filepath.Join(hostWeb, "src"), filepath.Join(hostWeb, "build.mjs"), filepath.Join(dir, "package-lock.json")}
	return unlessNewer(out, filepath.Join(dir, "dist", "host.json"), sources, func() error {
		return npmRun(ctx, out, dir, "build")
	})
}

// unlessNewer calls build if target is missing or older than a source.
func unlessNewer(out io.Writer, target string, sources []string, build func() error) error {
	changed, err := newest(sources...)
	if err != nil {
		return fmt.Errorf("sources of %s: %w", target, err)
	}
	if info, err := os.Stat(target); err == nil && info.ModTime().UnixNano() >= changed {
		fmt.Fprintln(out, "=", target, "is up to date")
		return nil
	}
	return build()
}

func executable(path string) string {
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	return filepath.FromSlash(path)
}
