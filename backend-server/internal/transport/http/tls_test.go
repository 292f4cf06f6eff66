package http

import (
	"context"
	"crypto/tls"
	"io"
	nethttp "net/http"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs/certstest"
)

// secure starts a server that answers with the version of HTTP.
func secure(t *testing.T, files certs.Files) *Server {
	t.Helper()
	s := newServer(t, func(c *Config) { c.TLS = files })
	s.HandleOps("/proto", nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) { _, _ = io.WriteString(w, r.Proto) }))
	require.NoError(t, s.Listen(t.Context()))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return s
}

// ask returns what the server answers to a client with these settings, and the
// serial number of its certificate.
func ask(t *testing.T, s *Server, h2 bool, cfg *tls.Config) (string, int64, error) {
	t.Helper()
	protocols := new(nethttp.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	c := nethttp.Client{Transport: &nethttp.Transport{TLSClientConfig: cfg, Protocols: protocols, DisableKeepAlives: true}}
	res, err := c.Get("https://" + s.Addr() + "/proto")
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return string(b), res.TLS.PeerCertificates[0].SerialNumber.Int64(), err
}

func TestTLS(t *testing.T) {
	ca, dir := certstest.New(t), t.TempDir()
	files := ca.Sign(dir, "127.0.0.1", 7)
	files.CA = "" // anybody may call
	s := secure(t, files)
	for proto, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		got, serial, err := ask(t, s, h2, &tls.Config{RootCAs: ca.Pool()})
		require.NoError(t, err)
		require.Equal(t, proto, got)
		require.EqualValues(t, 7, serial)
	}
	ca.Sign(dir, "127.0.0.1", 8)
	_, serial, err := ask(t, s, true, &tls.Config{RootCAs: ca.Pool()})
	require.NoError(t, err)
	require.EqualValues(t, 8, serial, "without a restart")
	require.NoError(t, os.WriteFile(files.Cert, []byte("torn"), 0o600))
	_, serial, err = ask(t, s, true, &tls.Config{RootCAs: ca.Pool()})
	require.NoError(t, err)
	require.EqualValues(t, 8, serial, "the last good one")
	require.EqualValues(t, 1, testutil.ToFloat64(s.metrics.reloads))
}

func TestClientsProveWhoTheyAre(t *testing.T) {
	ca := certstest.New(t)
	s := secure(t, ca.Sign(t.TempDir(), "127.0.0.1", 7))
	_, _, err := ask(t, s, true, &tls.Config{RootCAs: ca.Pool()})
	require.Error(t, err)
	mine := ca.Sign(t.TempDir(), "10.0.0.1", 8)
	pair, err := tls.LoadX509KeyPair(mine.Cert, mine.Key)
	require.NoError(t, err)
	got, _, err := ask(t, s, true, &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0", got)
}

func TestTLSNeedsItsFiles(t *testing.T) {
	s := newServer(t, func(c *Config) { c.TLS = certs.Files{Cert: "/none", Key: "/none"} })
	require.ErrorContains(t, s.Listen(t.Context()), "-server.http-tls-cert-path, -key-path, -ca-path): stat /none")
	require.Empty(t, s.Addr())
}
