package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/grafana/dskit/services"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
)

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
	var failure firstError // of a role; those that need it fail after it
	asked := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	manager.AddListener(services.NewManagerListener(func() {}, func() {}, func(s services.Service) {
		if asked.Err() != nil && errors.Is(s.FailureCase(), context.Canceled) {
			return // it was told to stop while it started
		}
		failure.note(fmt.Errorf("%s failed: %w", services.DescribeService(s), s.FailureCase()))
		stop()
	}))

	var g errgroup.Group
	served := make(chan struct{})
	// Other processes are answered until the roles have stopped: an ingester
	// that leaves is read from while it does.
	called, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	if a.peers != nil {
		g.Go(func() error {
			defer stop()
			return a.peers.server.Serve(called)
		})
		g.Go(func() error { a.peers.tidy(called); return nil })
	}
	taking, refuse := context.WithCancel(context.WithoutCancel(ctx))
	defer refuse()
	g.Go(func() error {
		defer refuse()
		return a.announceStop(ctx, taking)
	})
	g.Go(func() error {
		defer close(served)
		defer stop()
		defer refuse()
		return a.http.Serve(taking)
	})
	g.Go(func() error {
		defer hangUp()
		return a.runRoles(ctx, manager, served)
	})
	err = errors.Join(g.Wait(), failure.get())
	a.logger.Info("Hearth has stopped")
	return err
}

// announceStop has /ready tell that the process stops, and returns when no more
// requests should be taken.
func (a *App) announceStop(ctx, taking context.Context) error {
	<-ctx.Done()
	a.stopping.Store(true)
	delay := time.NewTimer(a.cfg.HTTP.ShutdownDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-taking.Done(): // they no longer are
	}
	return nil
}

// firstError keeps the first of several errors.
type firstError struct{ err atomic.Pointer[error] }

func (f *firstError) note(err error) { f.err.CompareAndSwap(nil, &err) }

func (f *firstError) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
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
		a.up.Store(true)
		a.logger.Info("Hearth is up", "address", a.Addr(), "took", time.Since(begin))
	}
	<-served
	manager.StopAsync()
	return manager.AwaitStopped(background)
}
