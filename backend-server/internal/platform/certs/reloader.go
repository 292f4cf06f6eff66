package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Reloader has the certificates of a port. It may be used by many goroutines.
type Reloader struct {
	files  Files
	logger *slog.Logger
	failed func()

	mu   sync.Mutex
	seen [3]stamp // of the files when they were last read
	last *loaded
}

// loaded is what the files held.
type loaded struct {
	pair        tls.Certificate
	authorities *x509.CertPool    // nil without a file of them
	pem         map[string][]byte // by file
}

type stamp struct {
	changed time.Time
	size    int64
}

// New reads the files, whose absence or damage is an error. failed is called
// when files have changed to something that cannot be used.
func New(files Files, logger *slog.Logger, failed func()) (*Reloader, error) {
	r := &Reloader{files: files, logger: logger, failed: failed}
	_, err := r.load()
	return r, err
}

// Server returns the settings for a caller who connects: it is asked for a
// certificate if there are authorities. It is tls.Config's GetConfigForClient.
func (r *Reloader) Server(*tls.ClientHelloInfo) (*tls.Config, error) {
	l, err := r.load()
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{l.pair}, MinVersion: tls.VersionTLS12}
	if l.authorities != nil {
		cfg.ClientCAs, cfg.ClientAuth, cfg.MinVersion = l.authorities, tls.RequireAndVerifyClientCert, tls.VersionTLS13
	}
	return cfg, nil
}

// Client returns the settings for calling another member: both prove who they
// are to the same authorities, without which those of the system count.
func (r *Reloader) Client() (*tls.Config, error) {
	l, err := r.load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{l.pair}, RootCAs: l.authorities, MinVersion: tls.VersionTLS13}, nil
}

// ReadSecret returns the content of one of the files. It implements dskit's
// SecretReader.
func (r *Reloader) ReadSecret(file string) ([]byte, error) {
	l, err := r.load()
	if err != nil {
		return nil, err
	}
	return l.pem[file], nil
}

// load returns what the files hold (T1).
func (r *Reloader) load() (*loaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, err := r.stamps()
	if err == nil && seen == r.seen && r.last != nil {
		return r.last, nil
	}
	var fresh *loaded
	if err == nil {
		fresh, err = r.read()
	}
	switch {
	case err == nil:
		r.seen, r.last = seen, fresh
	case r.last == nil:
		return nil, err
	case seen != r.seen:
		r.seen = seen // T2
		r.failed()
		r.logger.Error("changed certificate cannot be used; the one before stays", "err", err)
	}
	return r.last, nil
}

// stamps tells whether the files are what they were. Of files that cannot be
// looked at, the stamp is zero.
func (r *Reloader) stamps() (out [3]stamp, err error) {
	for i, name := range []string{r.files.Cert, r.files.Key, r.files.CA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return out, err
		}
		out[i] = stamp{info.ModTime(), info.Size()}
	}
	return out, nil
}

func (r *Reloader) read() (*loaded, error) {
	l := &loaded{pem: map[string][]byte{}}
	for _, file := range []string{r.files.Cert, r.files.Key, r.files.CA} {
		if file == "" {
			continue
		}
		var err error
		if l.pem[file], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	var err error
	if l.pair, err = tls.X509KeyPair(l.pem[r.files.Cert], l.pem[r.files.Key]); err != nil {
		return nil, fmt.Errorf("%s, %s: %w", r.files.Cert, r.files.Key, err)
	}
	if r.files.CA == "" {
		return l, nil
	}
	l.authorities = x509.NewCertPool()
	if !l.authorities.AppendCertsFromPEM(l.pem[r.files.CA]) {
		return nil, fmt.Errorf("%s holds no certificate", r.files.CA)
	}
	return l, nil
}
