// The plugin host stands in for Grafana where there is none: browser tests and `mage run` need something that starts
// the plugin's executables over the real plugin protocol and shows its pages with the real @grafana packages.
//
// Layout: catalog.go finds the plugins of a dist folder, process.go runs their executables, settings.go keeps what
// Grafana would keep in its database, provision.go fills it as Grafana's provisioning would, api.go speaks Grafana's
// HTTP API, page.go serves everything a browser loads.
//
// Invariants: a plugin process never outlives the host's orderly end; nothing is written to disk; no request is
// answered from anything but the plugin itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Options are the host's flags.
type Options struct {
	Dist         string
	Web          string
	Listen       string
	ServerURL    string
	Data         string
	Provisioning string
	Role         string
	LogLevel     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts, err := parseOptions(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	if err := run(ctx, opts, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "hearth-host:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string, out io.Writer) (Options, error) {
	var o Options
	fs := flag.NewFlagSet("hearth-host", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.Dist, "dist", "dist", "the built plugin: every plugin.json below it is loaded")
	fs.StringVar(&o.Web, "web", "tests/host/web/v11/dist", "the built host page")
	fs.StringVar(&o.Listen, "listen", "127.0.0.1:3000", "address of the page; port 0 picks one")
	fs.StringVar(&o.ServerURL, "server-url", "", "app setting serverUrl and the data source's URL; empty: embedded")
	fs.StringVar(&o.Data, "data", "data/grafana", "passed to the plugin as Grafana's data folder")
	fs.StringVar(&o.Provisioning, "provisioning", "provisioning", "data sources and dashboards as Grafana loads them")
	fs.StringVar(&o.Role, "role", "Admin", "role of the user; a request's X-Test-Role header wins")
	fs.StringVar(&o.LogLevel, "log-level", "info", "of the host and the plugin: debug, info, warn, error")
	return o, fs.Parse(args)
}

// run serves until ctx ends. It prints the address to out once every plugin process answers.
func run(ctx context.Context, opts Options, out, errOut io.Writer) (err error) {
	logger := hclog.New(&hclog.LoggerOptions{Name: "host", Level: hclog.LevelFromString(opts.LogLevel), Output: errOut})
	plugins, err := loadPlugins(opts.Dist)
	if err != nil {
		return fmt.Errorf("plugins: %w", err)
	}
	page, err := loadPage(opts.Web)
	if err != nil {
		return fmt.Errorf("host page: %w", err)
	}
	provisioned, err := readProvisioning(opts.Provisioning, plugins)
	if err != nil {
		return fmt.Errorf("provisioning: %w", err)
	}
	data, err := filepath.Abs(opts.Data)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	listener, err := net.Listen("tcp", opts.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	url := "http://" + listener.Addr().String()

	env := []string{"GF_VERSION=" + page.grafana, "GF_EDITION=Open Source", "GF_PATHS_DATA=" + data}
	processes := newProcesses(plugins, env, logger)
	defer processes.stop()
	if err := processes.start(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	h := &host{
		plugins: plugins, processes: processes, page: page, log: logger, role: opts.Role, url: url,
		settings: newSettings(plugins, provisioned, opts.ServerURL),
	}
	return serve(ctx, h.routes(), listener, out, url)
}

func serve(ctx context.Context, handler http.Handler, listener net.Listener, out io.Writer, url string) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintln(out, "listening", url)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}
