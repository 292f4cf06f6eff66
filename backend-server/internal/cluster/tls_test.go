package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	a := &authority{t: t, cert: cert, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) write(file, kind string, der []byte) {
	require.NoError(a.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// sign writes a certificate for an address into dir, and returns the flags.
func (a *authority) sign(dir, host string, serial int64) []string {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(host)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	a.write(filepath.Join(dir, "cert.pem"), "CERTIFICATE", der)
	a.write(filepath.Join(dir, "key.pem"), "PRIVATE KEY", private)
	return []string{
		"-memberlist.tls-cert-path=" + filepath.Join(dir, "cert.pem"), "-memberlist.tls-key-path=" + filepath.Join(dir, "key.pem"),
		"-memberlist.tls-ca-path=" + a.file,
	}
}

func encrypted(t *testing.T) {
	l, ca := newLAN(t, 10), newAuthority(t)
	dir := t.TempDir()
	p1 := l.process(1, Role{}, ca.sign(dir, l.host(1), 7)...).up()
	p2 := l.process(2, Role{}, ca.sign(t.TempDir(), l.host(2), 8)...).up()
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	p2.willSee("p1 ACTIVE, p2 ACTIVE")

	// Strangers: without TLS, without a certificate, with one of another authority.
	stranger := l.process(3, Role{})
	require.NoError(t, services.StartAndAwaitRunning(context.Background(), stranger.Cluster))
	t.Cleanup(func() { require.NoError(t, services.StopAndAwaitTerminated(context.Background(), stranger.Cluster)) })
	other := newAuthority(t)
	otherDir := t.TempDir()
	other.sign(otherDir, l.host(3), 9)
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
	ca.sign(dir, l.host(1), 77)
	require.EqualValues(t, 77, serial())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("torn"), 0o600))
	require.EqualValues(t, 77, serial())
	require.InDelta(t, 1, testutil.ToFloat64(p1.metrics.reloadFails), 0.1)
	require.Equal(t, "p1 ACTIVE, p2 ACTIVE", p1.sees())
	// p1 still calls others: what it has to say arrives.
	go p1.member.StopAsync()
	p2.willSee("p2 ACTIVE")
}

// dial connects with a member's gossip port and returns the serial number of
// the certificate that it shows.
func dial(host string, ca *authority, certs []tls.Certificate) (int64, error) {
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	conn, err := tls.Dial("tcp", net.JoinHostPort(host, gossipPort), &tls.Config{RootCAs: roots, Certificates: certs, MinVersion: tls.VersionTLS13})
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	// Whether our certificate is good is known when the first answer comes:
	// an end without a word about certificates, since we have said nothing.
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); err != nil && !os.IsTimeout(err) {
		return 0, err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestCertificatesThatCannotBeRead(t *testing.T) {
	cfg := settings(t, "-memberlist.join=127.0.0.1:1", "-memberlist.tls-cert-path=/none", "-memberlist.tls-key-path=/none", "-memberlist.tls-ca-path=/none")
	p := start(t, cfg, Role{})
	require.ErrorContains(t, services.StartAndAwaitRunning(t.Context(), p.Cluster), "TLS of gossip (-memberlist.tls-cert-path, -tls-key-path, -tls-ca-path): stat /none")
}
