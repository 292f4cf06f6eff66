package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	nethttp "net/http"
	"sync/atomic"
	"time"

	kitlog "github.com/go-kit/log"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/app/selfprofile"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/ingester"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/filelock"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/logging"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/http"
)

// App is one process: a port and the roles behind it.
type App struct {
	cfg      Config
	logger   *slog.Logger
	kit      kitlog.Logger
	registry *prometheus.Registry
	lock     *filelock.Lock
	bucket   objstore.Bucket
	http     *http.Server
	roleSet

	services []services.Service
	checks   []check // what /ready asks, in this order
	stopping atomic.Bool
}

// roleSet holds the roles that this process plays; the others are nil.
type roleSet struct {
	gateway     *storegateway.Gateway
	ingester    *ingester.Ingester
	distributor *distributor.Distributor
	querier     *querier.Querier
	profiler    *selfprofile.Profiler
}

// New takes the lock on the data folder and the port, and makes the roles.
// Nothing runs yet. The caller must call Run or Close.
func New(cfg Config, logger *slog.Logger) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, logger: logger, kit: logging.Kit(logger), registry: prometheus.NewRegistry()}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := a.open(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) open() error {
	if err := a.lockData(); err != nil {
		return err
	}
	if err := a.openBucket(); err != nil {
		return err
	}
	a.http = http.New(a.cfg.HTTP, a.registry, a.logger.With("component", "http"))
	var err error
	if a.services, err = a.roles(); err != nil {
		return err
	}
	a.operations()
	return a.http.Listen(context.Background())
}

// serveAPI adds routes that belong to a tenant.
func (a *App) serveAPI(routes map[string]nethttp.Handler) {
	for pattern, h := range routes {
		a.http.HandleAPI(pattern, h)
	}
}

// Close gives back what New has taken. Run does it by itself.
func (a *App) Close() error {
	var errs []error
	if a.http != nil {
		_ = a.http.Close() // closed already if Serve ran
	}
	if a.bucket != nil {
		errs = append(errs, a.bucket.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Release())
	}
	return errors.Join(errs...)
}

// Addr returns the address that the process listens on.
func (a *App) Addr() string { return a.http.Addr() }

// Run plays the roles until ctx ends or one of them fails, then stops them and
// gives back what New has taken.
func (a *App) Run(ctx context.Context) error {
	defer func() { _ = a.Close() }()
	info := buildinfo.Get()
	a.logger.Info("Hearth starts", "version", info.Version, "target", a.cfg.Target.String(), "address", a.Addr(), "data", a.cfg.Ingester.DataPath)
	manager, err := services.NewManager(a.services...)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	manager.AddListener(services.NewManagerListener(func() {}, func() {}, func(s services.Service) {
		stop(fmt.Errorf("%s failed: %w", services.DescribeService(s), s.FailureCase()))
	}))

	var g errgroup.Group
	served := make(chan struct{})
	g.Go(func() error {
		defer close(served)
		err := a.http.Serve(ctx)
		stop(err)
		return err
	})
	g.Go(func() error { return a.runRoles(ctx, manager, served) })
	err = g.Wait()
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		err = cause
	}
	a.logger.Info("Hearth has stopped")
	return err
}

// runRoles starts the roles and stops them when the last request is served.
func (a *App) runRoles(ctx context.Context, manager *services.Manager, served <-chan struct{}) error {
	begin := time.Now()
	// The roles outlive ctx: requests that are running still need them (A4).
	background := context.WithoutCancel(ctx)
	if err := manager.StartAsync(background); err != nil {
		return err
	}
	if manager.AwaitHealthy(ctx) == nil {
		a.logger.Info("Hearth is up", "took", time.Since(begin))
	}
	<-ctx.Done()
	a.stopping.Store(true)
	<-served
	manager.StopAsync()
	return manager.AwaitStopped(background)
}
