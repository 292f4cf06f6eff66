package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
)

// Server answers other processes. Services are registered before Serve.
type Server struct {
	cfg      Config
	logger   *slog.Logger
	grpc     *grpc.Server
	listener net.Listener
	panics   prometheus.Counter
	identity *identity

	stopping chan struct{}
	stop     sync.Once
	finite   atomic.Int64             // running calls that end by themselves
	endless  func(method string) bool // tests have other methods
}

// endless reports whether callers keep streams of a method open for ever.
func endless(method string) bool {
	switch method {
	case hearthv1.Replication_Push_FullMethodName, hearthv1.QueueService_Work_FullMethodName:
		return true
	}
	return false
}

// NewServer returns a server that does not listen yet. Besides what is
// registered it answers gRPC's health checks.
func NewServer(cfg Config, reg prometheus.Registerer, logger *slog.Logger, opts ...Option) (*Server, error) {
	m := newMetrics(reg, "server")
	files, err := cfg.open(logger, m.reloads.Inc)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, logger: logger, stopping: make(chan struct{}), endless: endless,
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "hearth_rpc_panics_total", Help: "Calls of other processes that ended in a panic."}),
	}
	reg.MustRegister(s.panics)
	all := []grpc.ServerOption{
		grpc.Creds(serverCredentials(files)),
		grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage), grpc.ForceServerCodecV2(newCodec()),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow),
		grpc.WriteBufferSize(buffer), grpc.ReadBufferSize(buffer), grpc.SharedWriteBuffer(true),
		grpc.ConnectionTimeout(connectWithin), grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: serverPing, Timeout: answerWithin}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: clientPing / 2, PermitWithoutStream: true}),
		grpc.StatsHandler(&counter{metrics: m}),
		grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream),
	}
	o := apply(opts)
	s.identity = o.identity
	if o.tracer != nil {
		all = append(all, grpc.StatsHandler(otelgrpc.NewServerHandler(o.spans()...)))
	}
	s.grpc = grpc.NewServer(all...)
	healthv1.RegisterHealthServer(s, alive{})
	return s, nil
}

// RegisterService implements grpc.ServiceRegistrar.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
}

// alive answers health checks. It implements healthv1.HealthServer.
type alive struct {
	healthv1.UnimplementedHealthServer
}

// Check implements healthv1.HealthServer.
func (alive) Check(context.Context, *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

// Listen takes the port.
func (s *Server) Listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.hostPort())
	if err != nil {
		return fmt.Errorf("cannot listen on %s (-server.grpc-listen-address, -server.grpc-listen-port): %w", s.cfg.hostPort(), err)
	}
	s.listener = l
	return nil
}

// Port returns the port listened on, or 0 before Listen.
func (s *Server) Port() int {
	if s.listener == nil {
		return 0
	}
	return s.listener.Addr().(*net.TCPAddr).Port
}

// How long, when the process stops, calls may take that run, and then the
// streams that callers keep open for ever.
const (
	stopPatience   = 30 * time.Second
	streamPatience = 2 * time.Second
)

// Stopping is closed when the server begins to stop: handlers of streams that
// callers keep open return then.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// Serve answers until ctx ends, then lets running calls finish for a while.
// Listen must have succeeded.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.grpc.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve gRPC: %w", err)
	case <-ctx.Done():
	}
	s.drain()
	<-failed
	return nil
}

// drain ends the server: no new calls, then none that run.
func (s *Server) drain() {
	s.stop.Do(func() { close(s.stopping) })
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.grpc.GracefulStop()
	}()
	cut := time.After(stopPatience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var idle time.Time // since when only streams run
	for {
		select {
		case <-graceful:
			return
		case <-cut:
			s.logger.Warn("calls cut off by stopping", "calls", s.finite.Load(), "after", stopPatience)
			s.grpc.Stop()
			<-graceful
			return
		case now := <-tick.C:
			switch {
			case s.finite.Load() > 0:
				idle = time.Time{}
			case idle.IsZero():
				idle = now
			case now.Sub(idle) > streamPatience:
				s.grpc.Stop()
				<-graceful
				return
			}
		}
	}
}

// Close gives the port back if Serve never ran.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
