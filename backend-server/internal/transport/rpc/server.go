package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// MaxMessage is the largest message, in bytes: trees and profiles are sent
// whole.
const MaxMessage = 512 << 20

// Server answers other processes. Services are registered before Serve.
type Server struct {
	cfg      Config
	logger   *slog.Logger
	grpc     *grpc.Server
	listener net.Listener
}

// NewServer returns a server that does not listen yet.
func NewServer(cfg Config, _ prometheus.Registerer, logger *slog.Logger) (*Server, error) {
	return &Server{cfg: cfg, logger: logger, grpc: grpc.NewServer(grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage))}, nil
}

// RegisterService implements grpc.ServiceRegistrar.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
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

// stopPatience is how long running calls may take when the process stops.
const stopPatience = 30 * time.Second

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
	cut := time.AfterFunc(stopPatience, s.grpc.Stop)
	defer cut.Stop()
	s.grpc.GracefulStop()
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
