package rpc

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs/certstest"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func encrypted(t *testing.T, f certs.Files, more ...string) Config {
	return settings(t, append([]string{"-server.grpc-tls-cert-path=" + f.Cert, "-server.grpc-tls-key-path=" + f.Key, "-server.grpc-tls-ca-path=" + f.CA}, more...)...)
}

func TestBothSidesProveWhoTheyAre(t *testing.T) {
	ca, other, dir := certstest.New(t), certstest.New(t), t.TempDir()
	files := ca.Sign(dir, "127.0.0.1", 1)
	_, addr, _ := serve(t, encrypted(t, files), &script{do: echo})
	call := func(cfg Config) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		p := newPool(t, cfg)
		_, err := do(ctx, conn(t, p, addr), "hello")
		return err
	}
	mine := encrypted(t, ca.Sign(t.TempDir(), "10.0.0.1", 2))
	require.NoError(t, call(mine))
	// Strangers: without TLS, of another authority; and a server of another name.
	require.True(t, fault.Is(call(settings(t)), fault.Unavailable))
	foreign := other.Sign(t.TempDir(), "10.0.0.1", 3)
	foreign.CA = ca.File
	require.True(t, fault.Is(call(encrypted(t, foreign)), fault.Unavailable))
	require.ErrorContains(t, call(encrypted(t, ca.Sign(t.TempDir(), "10.0.0.1", 4), "-server.grpc-tls-server-name=hearth")), "wanted to match hearth")

	// What is new is used at the next connection, on both sides.
	ca.Sign(dir, "hearth", 5)
	require.NoError(t, call(encrypted(t, ca.Sign(t.TempDir(), "10.0.0.1", 4), "-server.grpc-tls-server-name=hearth")))
	require.NoError(t, os.WriteFile(files.Cert, []byte("torn"), 0o600))
	require.NoError(t, call(encrypted(t, ca.Sign(t.TempDir(), "10.0.0.1", 6), "-server.grpc-tls-server-name=hearth")))
}

func TestAuthoritiesAreReplaced(t *testing.T) {
	before, after, dir := certstest.New(t), certstest.New(t), t.TempDir()
	files := before.Sign(dir, "127.0.0.1", 1)
	_, addr, _ := serve(t, encrypted(t, files), &script{do: echo})
	p := newPool(t, encrypted(t, files))
	_, err := do(t.Context(), conn(t, p, addr), "")
	require.NoError(t, err)
	// Both now have certificates of the new authority only.
	b, err := os.ReadFile(after.File)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files.CA, b, 0o600))
	after.Sign(dir, "127.0.0.1", 2)
	p.Retain(nil)
	_, err = do(t.Context(), conn(t, p, addr), "")
	require.NoError(t, err)
}

func TestTLSNeedsItsFiles(t *testing.T) {
	var cfg Config
	cfg.Port, cfg.TLS.Cert = 9095, "x"
	require.Len(t, cfg.Validate(), 2)
	cfg.TLS = certs.Files{Cert: "/none", Key: "/none", CA: "/none"}
	_, err := NewServer(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "-server.grpc-tls-cert-path, -key-path, -ca-path): stat /none")
	_, err = NewPool(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "stat /none")
}
