package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	nethttp "net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Server listens on the process's port. Routes are added before Serve.
type Server struct {
	cfg      Config
	logger   *slog.Logger
	mux      *nethttp.ServeMux
	metrics  *metrics
	listener net.Listener
}

// New returns a server that does not listen yet.
func New(cfg Config, reg prometheus.Registerer, logger *slog.Logger) *Server {
	return &Server{cfg: cfg, logger: logger, mux: nethttp.NewServeMux(), metrics: newMetrics(reg)}
}

// HandleAPI adds a route that belongs to a tenant. The pattern is ServeMux's.
func (s *Server) HandleAPI(pattern string, h nethttp.Handler) {
	s.mux.Handle(pattern, s.withTenant(s.withBodyLimit(h)))
}

// HandleOps adds a route that belongs to the process.
func (s *Server) HandleOps(pattern string, h nethttp.Handler) { s.mux.Handle(pattern, h) }

// Handler returns what the server answers with, middleware included.
func (s *Server) Handler() nethttp.Handler { return s.withMetrics(s.withRecovery(s.mux)) }

// Listen takes the port. From then on clients can connect; they are answered
// once Serve runs.
func (s *Server) Listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.hostPort())
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the address %s is taken by another process; stop that one or choose another port with -server.http-listen-port: %w", s.cfg.hostPort(), err)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s (-server.http-listen-address, -server.http-listen-port): %w", s.cfg.hostPort(), err)
	}
	s.listener = l
	return nil
}

// Addr returns the address listened on, or "" before Listen.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Serve answers requests until ctx ends; then it lets running requests finish,
// for as long as the config allows. Listen must have succeeded.
func (s *Server) Serve(ctx context.Context) error {
	protocols := new(nethttp.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &nethttp.Server{
		Handler:           s.Handler(),
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       5 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		s.logger.Warn("requests cut off by shutdown", "after", s.cfg.ShutdownTimeout)
		_ = srv.Close()
	}
	<-failed
	return nil
}

// Close gives the port back if Serve never ran.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}
