package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
)

// open reads the certificates, or returns nil if there is no TLS.
func (c *Config) open(logger *slog.Logger, failed func()) (*certs.Reloader, error) {
	if !c.TLS.On() {
		return nil, nil
	}
	r, err := certs.New(c.TLS, logger, failed)
	if err != nil {
		return nil, fmt.Errorf("TLS between processes (-server.grpc-tls-cert-path, -key-path, -ca-path): %w", err)
	}
	return r, nil
}

func serverCredentials(r *certs.Reloader) credentials.TransportCredentials {
	if r == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{GetConfigForClient: r.Server, MinVersion: tls.VersionTLS13})
}

func clientCredentials(r *certs.Reloader, name string) credentials.TransportCredentials {
	if r == nil {
		return insecure.NewCredentials()
	}
	return &calling{r, name}
}

// calling makes every connection with the certificates as they are then;
// crypto/tls would take up a new certificate, but not new authorities. It
// implements credentials.TransportCredentials.
type calling struct {
	certs *certs.Reloader
	name  string // that the other side must have; empty: its host
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *calling) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	cfg, err := c.certs.Client()
	if err != nil {
		return nil, nil, err
	}
	cfg.ServerName = c.name
	return credentials.NewTLS(cfg).ClientHandshake(ctx, authority, raw)
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *calling) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are for calling")
}

// Info implements credentials.TransportCredentials.
func (c *calling) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", ServerName: c.name}
}

// Clone implements credentials.TransportCredentials.
func (c *calling) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// OverrideServerName implements credentials.TransportCredentials.
func (c *calling) OverrideServerName(name string) error {
	c.name = name
	return nil
}
