package app

import (
	"context"
	"errors"
	"log/slog"
	nethttp "net/http"
	"os"
	"sync/atomic"
	"time"

	kitlog "github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/filelock"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/logging"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/http"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/job"
)

// App is one process: a port and the roles behind it.
type App struct {
	cfg      Config
	logger   *slog.Logger
	kit      kitlog.Logger
	registry *prometheus.Registry
	lock     atomic.Pointer[filelock.Lock]
	bucket   objstore.Bucket
	http     *http.Server
	tracing  *tracing.Tracing
	peers    *peers      // nil for a process that is alone
	jobs     *job.Client // nil until a role needs it
	engine   querier.Engine
	// retention is nil where no role works with the bucket.
	retention *deletion.Retention
	played    map[string]bool // roles
	roleSet

	services []services.Service
	checks   []check     // what /ready asks, in this order
	up       atomic.Bool // all roles have started
	stopping atomic.Bool
	// leaves says whether the ingester leaves its ring for good when it stops.
	leaves atomic.Bool
}

// New takes the lock on the data folder and the port, and makes the roles.
// Nothing runs yet. The caller must call Run or Close.
func New(cfg Config, logger *slog.Logger) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, logger: logger, kit: logging.Kit(logger), registry: prometheus.NewRegistry()}
	a.played, a.engine = cfg.played(), querier.NewEngine(cfg.Querier)
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := a.open(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) open() error {
	if a.cfg.usesBucket() {
		if err := a.lockData(); err != nil {
			return err
		}
		if err := a.openBucket(); err != nil {
			return err
		}
		var err error
		if a.retention, err = deletion.NewRetention(a.cfg.Retention, a.registry, a.logger); err != nil {
			return err
		}
	}
	var err error
	if a.tracing, err = a.openTracing(); err != nil {
		return err
	}
	if err := a.openPeers(); err != nil {
		return err
	}
	a.http = http.New(a.cfg.HTTP, a.registry, a.logger.With("component", "http"), http.WithTracing(a.tracing.Provider()))
	if a.services, err = a.roles(); err != nil {
		return err
	}
	a.servePeers()
	a.operations()
	return a.http.Listen(context.Background())
}

func (a *App) openTracing() (*tracing.Tracing, error) {
	process := tracing.Process{Version: buildinfo.Get().Version, Instance: a.cfg.Cluster.Instance.ID}
	return tracing.New(context.Background(), a.cfg.Tracing, process, a.logger.With("component", "tracing"), os.Getenv)
}

// tracesLast bounds how long the last spans may take to be sent.
const tracesLast = 3 * time.Second

func (a *App) closeTracing() {
	ctx, cancel := context.WithTimeout(context.Background(), tracesLast)
	defer cancel()
	if err := a.tracing.Shutdown(ctx); err != nil {
		a.logger.Warn("the last traces were not sent", "err", err)
	}
}

// serveAPI adds routes that belong to a tenant.
func (a *App) serveAPI(routes map[string]nethttp.Handler) {
	for pattern, h := range routes {
		a.http.HandleAPI(pattern, h)
	}
}

// Close gives back what New has taken. Run does it by itself; once is enough.
func (a *App) Close() error {
	var errs []error
	if a.http != nil {
		_ = a.http.Close() // closed already if Serve ran
	}
	if a.peers != nil {
		errs = append(errs, a.peers.close())
	}
	a.closeTracing()
	if a.bucket != nil {
		errs = append(errs, a.bucket.Close())
	}
	if lock := a.lock.Swap(nil); lock != nil {
		errs = append(errs, lock.Release())
	}
	return errors.Join(errs...)
}

// Addr returns the address that the process listens on.
func (a *App) Addr() string { return a.http.Addr() }
