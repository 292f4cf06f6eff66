package tests

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// meter stands between a server and an object store that speaks HTTP, and takes
// note of what goes through. It can make the store a distant one.
type meter struct {
	*httptest.Server

	mu    sync.Mutex
	delay time.Duration
	calls []call
}

// call is a request that the store has answered.
type call struct {
	method     string
	body       int64 // bytes of the answer
	begun, end time.Time
}

func newMeter(t *testing.T, store string) *meter {
	t.Helper()
	target, err := url.Parse("http://" + store)
	require.NoError(t, err)
	m := new(meter)
	// The Host header stays: it is signed.
	through := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true},
	}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call{method: r.Method, begun: time.Now()}
		counted := &counted{ResponseWriter: w}
		m.mu.Lock()
		wait := m.delay
		m.mu.Unlock()
		time.Sleep(wait)
		through.ServeHTTP(counted, r)
		c.body, c.end = counted.n, time.Now()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.calls = append(m.calls, c)
	}))
	t.Cleanup(m.Close)
	return m
}

// counted counts the bytes of a body.
type counted struct {
	http.ResponseWriter
	n int64
}

// Write implements http.ResponseWriter.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

func (m *meter) address() string { return strings.TrimPrefix(m.URL, "http://") }

// distance has every request from now on take so much longer.
func (m *meter) distance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = d
}

// usage is what was asked of a store.
type usage struct {
	requests map[string]int // by method
	bytes    int64          // of the answers
	// deep is how many requests had to wait for each other, as far as that can be
	// seen: the most of which each began when the one before had ended.
	deep int
}

func (u usage) String() string {
	return fmt.Sprintf("%v, %d bytes, %d deep", u.requests, u.bytes, u.deep)
}

// take returns what has gone through since it was called last.
func (m *meter) take() usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := usage{requests: map[string]int{}}
	slices.SortFunc(m.calls, func(a, b call) int { return cmp.Compare(a.end.UnixNano(), b.end.UnixNano()) })
	var last time.Time
	for _, c := range m.calls {
		u.requests[c.method]++
		u.bytes += c.body
		if c.begun.After(last) {
			u.deep++
			last = c.end
		}
	}
	m.calls = nil
	return u
}
