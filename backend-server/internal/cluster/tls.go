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
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/grafana/dskit/kv/memberlist"
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
	certs    *certs
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
	keys := &certs{cert: g.TLSCert, key: g.TLSKey, ca: g.TLSCA, logger: c.deps.Logger, failed: c.metrics.reloadFails.Inc}
	if _, err := keys.config(nil); err != nil {
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
	t.TLS.CertPath, t.TLS.KeyPath, t.TLS.CAPath, t.TLS.ServerName = g.TLSCert, g.TLSKey, g.TLSCA, g.TLSServerName
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
	caller := tls.Server(raw, &tls.Config{GetConfigForClient: f.certs.config, MinVersion: tls.VersionTLS13})
	if err := caller.HandshakeContext(ctx); err != nil {
		f.logger.Warn("gossip refused", "from", raw.RemoteAddr().String(), "err", err)
		return
	}
	dialer := tls.Dialer{Config: f.certs.inner()}
	to, err := dialer.DialContext(ctx, "tcp", f.inner)
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

// certs reads certificate files, again when they change.
type certs struct {
	cert, key, ca string
	logger        *slog.Logger
	failed        func()

	mu   sync.Mutex
	seen [3]stamp // of the files when they were last read
	last *tls.Config
	pem  map[string][]byte // what last was made of, by file
}

// ReadSecret implements dskit's SecretReader: our transport asks it for the
// files at each call that it makes, and gets the last good ones.
func (c *certs) ReadSecret(file string) ([]byte, error) {
	if _, err := c.config(nil); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pem[file], nil
}

type stamp struct {
	changed time.Time
	size    int64
}

// config returns the settings for a caller. It is tls.Config's
// GetConfigForClient.
func (c *certs) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, err := c.stamps()
	if err == nil && seen == c.seen && c.last != nil {
		return c.last, nil
	}
	var fresh *tls.Config
	var pem map[string][]byte
	if err == nil {
		fresh, pem, err = c.read()
	}
	switch {
	case err == nil:
		c.seen, c.last, c.pem = seen, fresh, pem
	case c.last == nil:
		return nil, err
	case seen != c.seen:
		c.seen = seen // say so once a change
		c.failed()
		c.logger.Error("changed certificate for gossip cannot be used; the one before stays", "err", err)
	}
	return c.last, nil
}

func (c *certs) stamps() (out [3]stamp, err error) {
	for i, name := range []string{c.cert, c.key, c.ca} {
		info, err := os.Stat(name)
		if err != nil {
			return out, err
		}
		out[i] = stamp{info.ModTime(), info.Size()}
	}
	return out, nil
}

func (c *certs) read() (*tls.Config, map[string][]byte, error) {
	pem := map[string][]byte{}
	for _, file := range []string{c.cert, c.key, c.ca} {
		var err error
		if pem[file], err = os.ReadFile(file); err != nil {
			return nil, nil, err
		}
	}
	pair, err := tls.X509KeyPair(pem[c.cert], pem[c.key])
	if err != nil {
		return nil, nil, fmt.Errorf("%s, %s: %w", c.cert, c.key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem[c.ca]) {
		return nil, nil, fmt.Errorf("%s holds no certificate", c.ca)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}, pem, nil
}

// inner returns the settings for calling our own transport.
func (c *certs) inner() *tls.Config {
	c.mu.Lock()
	roots := c.last.ClientCAs
	c.mu.Unlock()
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
	}
}
