package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	nethttp "net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
)

// Server listens on the process's port. Routes are added before Serve.
type Server struct {
	cfg      Config
	logger   *slog.Logger
	mux      *nethttp.ServeMux
	metrics  *metrics
	tracer   trace.Tracer // nil: no spans
	listener net.Listener
	certs    *certs.Reloader // nil without TLS
}

// Option changes a Server.
type Option func(*Server)

// WithTracing has a span made for every request of a tenant. A nil provider changes nothing.
func WithTracing(p trace.TracerProvider) Option {
	return func(s *Server) {
		if p != nil {
			s.tracer = p.Tracer(tracing.Scope)
		}
	}
}

// New returns a server that does not listen yet.
func New(cfg Config, reg prometheus.Registerer, logger *slog.Logger, opts ...Option) *Server {
	s := &Server{cfg: cfg, logger: logger, mux: nethttp.NewServeMux(), metrics: newMetrics(reg)}
	for _, set := range opts {
		set(s)
	}
	return s
}

// HandleAPI adds a route that belongs to a tenant. The pattern is ServeMux's.
func (s *Server) HandleAPI(pattern string, h nethttp.Handler) {
	s.mux.Handle(pattern, s.withSpan(s.withTenant(s.withBodyLimit(h))))
}

// HandleOps adds a route that belongs to the process.
func (s *Server) HandleOps(pattern string, h nethttp.Handler) { s.mux.Handle(pattern, h) }

// Handler returns what the server answers with, middleware included.
func (s *Server) Handler() nethttp.Handler { return s.withMetrics(s.withRecovery(s.mux)) }

// Listen reads the certificates, if there is TLS, and takes the port. From then
// on clients can connect; they are answered once Serve runs.
func (s *Server) Listen(ctx context.Context) error {
	if s.cfg.TLS.On() {
		var err error
		if s.certs, err = certs.New(s.cfg.TLS, s.logger, s.metrics.reloads.Inc); err != nil {
			return fmt.Errorf("TLS (-server.http-tls-cert-path, -key-path, -ca-path): %w", err)
		}
	}
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
	srv := s.server()
	failed := make(chan error, 1)
	go func() {
		if s.certs != nil {
			failed <- srv.ServeTLS(s.listener, "", "")
		} else {
			failed <- srv.Serve(s.listener)
		}
	}()
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

// server returns net/http's server for what the port is: with TLS, the two
// versions of HTTP are told apart by the handshake.
func (s *Server) server() *nethttp.Server {
	srv := &nethttp.Server{
		Handler:           s.Handler(),
		Protocols:         new(nethttp.Protocols),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       5 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetHTTP1(true)
	if s.certs == nil {
		srv.Protocols.SetUnencryptedHTTP2(true)
		return srv
	}
	srv.Protocols.SetHTTP2(true)
	srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg, err := s.certs.Server(hello)
		if err == nil {
			cfg.NextProtos = []string{"h2", "http/1.1"}
		}
		return cfg, err
	}}
	return srv
}

// Close gives the port back if Serve never ran.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}
