package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Transport is what all stores that are reached by HTTP are reached through. It
// notes how far their clock is from ours.
type Transport struct {
	base *http.Transport

	mu   sync.Mutex
	skew time.Duration // our clock less the store's
}

// Timeouts of the parts of a request; how long the whole takes is up to the
// caller's context, since a large object takes its time.
const (
	dialTimeout   = 5 * time.Second
	tlsTimeout    = 10 * time.Second
	answerTimeout = 2 * time.Minute
	idleTimeout   = 90 * time.Second
	idleConns     = 100 // to one host: queries read many ranges at once
)

// NewTransport returns a transport that trusts the certificates of caFile in
// addition to the system's, if caFile is not "".
func NewTransport(caFile string) (*Transport, error) {
	t := &Transport{base: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          idleConns,
		MaxIdleConnsPerHost:   idleConns,
		IdleConnTimeout:       idleTimeout,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: answerTimeout,
		ExpectContinueTimeout: time.Second,
		// A compressed object is passed on as it is: its size is compared.
		DisableCompression: true,
	}}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("-storage.tls-ca-file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-storage.tls-ca-file: %s holds no certificate in PEM", caFile)
	}
	t.base.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	req, sent := guarded(req)
	res, err := t.base.RoundTrip(req)
	if sent != nil {
		_ = sent.Close() // nothing of a body is needed after the answer
	}
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		t.mu.Lock()
		t.skew = time.Since(date)
		t.mu.Unlock()
	}
	return res, nil
}

// Skew returns how far this machine's clock was ahead of the store's at the
// last answer, to about a second; 0 if no answer said the time.
func (t *Transport) Skew() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.skew
}

// Close closes the connections that are not in use.
func (t *Transport) Close() { t.base.CloseIdleConnections() }

// explainNetwork says what an error means that came before any answer.
func explainNetwork(err error) Cause {
	var unknownCA x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var network net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &unknownCA), errors.As(err, &wrongHost), errors.As(err, &invalid), errors.As(err, &verification):
		return Certificate
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return Endpoint
	case errors.As(err, &network), errors.As(err, &op):
		return Away
	}
	return Unclear
}

// explainStatus says what the status of an answer means that says no more.
func explainStatus(status int) Cause {
	switch {
	case status == http.StatusUnauthorized:
		return Unknown
	case status == http.StatusForbidden:
		return Denied
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return Away
	case status >= 300:
		return Refused
	}
	return Unclear
}

// explain is for errors that a store's own words say nothing about.
func explain(err error, status int) Cause {
	if c := explainNetwork(err); c != Unclear {
		return c
	}
	return explainStatus(status)
}
