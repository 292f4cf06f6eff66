package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/grafana/dskit/kv/memberlist"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
)

// front encrypts gossip that comes in. dskit's transport proves itself to those
// it calls, with a certificate that it asks for at each call, but as a server
// it neither asks callers for theirs nor reads its own again. So it
// listens on the loopback interface, and front before it: it asks callers for a
// certificate of our authorities and passes on what they send. Only authorities
// that our transport trusts when it calls are read once.
//
// What front calls is our own transport: it must have a certificate of our
// authorities too, whatever name is in it. A local user who finds its port can
// gossip without a certificate.
type front struct {
	logger   *slog.Logger
	certs    *certs.Reloader
	listener net.Listener
	inner    string // address of dskit's transport

	ctx     context.Context // of the connections; ended by close
	cancel  context.CancelFunc
	running sync.WaitGroup
}

const (
	handshakeTimeout = 5 * time.Second
	exchangeTimeout  = time.Minute // a connection of gossip is for one exchange
)

// encrypt makes gossip go through a front.
func (c *Cluster) encrypt(cfg *memberlist.KVConfig) error {
	g := c.cfg.Gossip
	keys, err := certs.New(g.TLS, c.deps.Logger.With("port", "gossip"), c.metrics.reloadFails.Inc)
	if err != nil {
		return fmt.Errorf("TLS of gossip (-memberlist.tls-cert-path, -tls-key-path, -tls-ca-path): %w", err)
	}
	addr, err := c.advertised()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(g.BindAddr, strconv.Itoa(g.BindPort)))
	if err != nil {
		return fmt.Errorf("listen for gossip (-memberlist.bind-addr, -memberlist.bind-port): %w", err)
	}
	port, err := freePort()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if cfg.AdvertiseAddr = addr; cfg.AdvertisePort == 0 {
		cfg.AdvertisePort = listener.Addr().(*net.TCPAddr).Port
	}
	t := &cfg.TCPTransport
	t.BindAddrs, t.BindPort, t.TLSEnabled = []string{loopback}, port, true
	t.TLS.CertPath, t.TLS.KeyPath, t.TLS.CAPath, t.TLS.ServerName = g.TLS.Cert, g.TLS.Key, g.TLS.CA, g.TLSServerName
	t.TLS.MinVersion, t.TLS.Reader = "VersionTLS13", keys
	ctx, cancel := context.WithCancel(context.Background())
	c.front = &front{
		logger: c.deps.Logger, certs: keys, listener: listener, inner: net.JoinHostPort(loopback, strconv.Itoa(port)),
		ctx: ctx, cancel: cancel,
	}
	c.front.running.Go(c.front.accept)
	return nil
}

const loopback = "127.0.0.1"

func freePort() (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (f *front) accept() {
	for {
		conn, err := f.listener.Accept()
		switch {
		case f.ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return
		case err != nil: // too many open files, most likely
			f.logger.Error("gossip cannot be accepted", "err", err)
			time.Sleep(100 * time.Millisecond)
		default:
			f.running.Go(func() { f.pass(conn) })
		}
	}
}

// pass connects a caller with the transport.
func (f *front) pass(raw net.Conn) {
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(exchangeTimeout))
	ctx, cancel := context.WithTimeout(f.ctx, handshakeTimeout)
	defer cancel()
	caller := tls.Server(raw, &tls.Config{GetConfigForClient: f.certs.Server, MinVersion: tls.VersionTLS13})
	if err := caller.HandshakeContext(ctx); err != nil {
		f.logger.Warn("gossip refused", "from", raw.RemoteAddr().String(), "err", err)
		return
	}
	cfg, err := f.inside()
	if err != nil {
		return
	}
	to, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", f.inner)
	if err != nil {
		f.logger.Debug("gossip came too early or too late", "err", err)
		return
	}
	transport := to.(*tls.Conn)
	defer func() { _ = transport.Close() }()
	stop := context.AfterFunc(f.ctx, func() {
		_ = raw.Close()
		_ = transport.NetConn().Close()
	})
	defer stop()
	var back sync.WaitGroup
	back.Go(func() { copyOne(caller, transport) })
	copyOne(transport, caller)
	back.Wait()
}

// copyOne passes on what comes from src, and its end.
func copyOne(dst, src *tls.Conn) {
	if _, err := io.Copy(dst, src); err != nil {
		_ = src.NetConn().Close()
		_ = dst.NetConn().Close()
		return
	}
	_ = dst.CloseWrite()
}

// close ends all connections and waits for them.
func (f *front) close() {
	f.cancel()
	_ = f.listener.Close()
	f.running.Wait()
}

// inside returns the settings for calling our own transport.
func (f *front) inside() (*tls.Config, error) {
	cfg, err := f.certs.Client()
	if err != nil {
		return nil, err
	}
	roots := cfg.RootCAs
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The name would be that of the outer address. The chain is verified.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			rest := x509.NewCertPool()
			for _, cert := range s.PeerCertificates[1:] {
				rest.AddCert(cert)
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: rest})
			return err
		},
	}, nil
}
