package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs/certstest"
)

// flags are the settings for gossip with files.
func flags(f certs.Files) []string {
	return []string{"-memberlist.tls-cert-path=" + f.Cert, "-memberlist.tls-key-path=" + f.Key, "-memberlist.tls-ca-path=" + f.CA}
}

func encrypted(t *testing.T) {
	l, ca := newLAN(t, 10), certstest.New(t)
	dir := t.TempDir()
	p1 := l.process(1, Role{}, flags(ca.Sign(dir, l.host(1), 7))...).up()
	p2 := l.process(2, Role{}, flags(ca.Sign(t.TempDir(), l.host(2), 8))...).up()
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	p2.willSee("p1 ACTIVE, p2 ACTIVE")

	// Strangers: without TLS, without a certificate, with one of another authority.
	stranger := l.process(3, Role{})
	require.NoError(t, services.StartAndAwaitRunning(context.Background(), stranger.Cluster))
	t.Cleanup(func() { require.NoError(t, services.StopAndAwaitTerminated(context.Background(), stranger.Cluster)) })
	other := certstest.New(t)
	otherDir := t.TempDir()
	other.Sign(otherDir, l.host(3), 9)
	wrong, err := tls.LoadX509KeyPair(filepath.Join(otherDir, "cert.pem"), filepath.Join(otherDir, "key.pem"))
	require.NoError(t, err)
	for _, certs := range [][]tls.Certificate{nil, {wrong}} {
		_, err := dial(l.host(1), ca, certs)
		require.Error(t, err)
	}
	require.Empty(t, stranger.sees())

	// A new certificate is used without a restart; a broken one is not.
	good, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	serial := func() int64 {
		got, err := dial(l.host(1), ca, []tls.Certificate{good})
		require.NoError(t, err)
		return got
	}
	require.EqualValues(t, 7, serial())
	ca.Sign(dir, l.host(1), 77)
	require.EqualValues(t, 77, serial())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("torn"), 0o600))
	require.EqualValues(t, 77, serial())
	require.Positive(t, testutil.ToFloat64(p1.metrics.reloadFails))
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	// p1 still calls others: what it has to say arrives.
	go p1.member.StopAsync()
	p2.willSee("p2 ACTIVE")
}

// dial connects with a member's gossip port and returns the serial number of
// the certificate that it shows.
func dial(host string, ca *certstest.Authority, certs []tls.Certificate) (int64, error) {
	conn, err := tls.Dial("tcp", net.JoinHostPort(host, gossipPort), &tls.Config{RootCAs: ca.Pool(), Certificates: certs, MinVersion: tls.VersionTLS13})
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	// Whether our certificate is good shows in how the member answers the end of
	// what we have to say, which is nothing: with its own end, or with an alert.
	if err := conn.CloseWrite(); err != nil {
		return 0, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("refused: %w", err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestCertificatesThatCannotBeRead(t *testing.T) {
	cfg := settings(t, "-memberlist.join=127.0.0.1:1", "-memberlist.tls-cert-path=/none", "-memberlist.tls-key-path=/none", "-memberlist.tls-ca-path=/none")
	p := start(t, cfg, Role{})
	require.ErrorContains(t, services.StartAndAwaitRunning(t.Context(), p.Cluster), "TLS of gossip (-memberlist.tls-cert-path, -tls-key-path, -tls-ca-path): stat /none")
}
