package http

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

func newServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError))
	cfg.Address, cfg.Port = "127.0.0.1", 0
	if change != nil {
		change(&cfg)
	}
	require.Empty(t, cfg.Validate())
	return New(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
}

func call(s *Server, r *nethttp.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func echoTenant(w nethttp.ResponseWriter, r *nethttp.Request) {
	id, err := tenant.From(r.Context())
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, id)
}

func TestTenant(t *testing.T) {
	for _, c := range []struct {
		name, contentType, header string
		on                        bool
		status                    int
		body                      string
	}{
		{name: "off, no header", status: 200, body: "anonymous"},
		{name: "off, header is ignored", header: "team-a", status: 200, body: "anonymous"},
		{name: "on", on: true, header: "team-a", status: 200, body: "team-a"},
		{name: "on, missing, text", on: true, status: 401, body: "no tenant: the header X-Scope-OrgID is missing\n"},
		{name: "on, bad, text", on: true, header: "..", status: 400, body: "tenant ID \"..\" is not allowed\n"},
		{name: "on, missing, connect", on: true, contentType: "application/json", status: 401, body: `"code":"unauthenticated"`},
		{name: "on, bad, connect", on: true, contentType: "application/proto", header: "a/b", status: 400, body: `"code":"invalid_argument"`},
		{name: "on, missing, gRPC", on: true, contentType: "application/grpc", status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func(cfg *Config) { cfg.Multitenancy = c.on })
			s.HandleAPI("/x.Service/", nethttp.HandlerFunc(echoTenant))
			r := httptest.NewRequest("POST", "/x.Service/Do", strings.NewReader("{}"))
			r.Header.Set("Content-Type", c.contentType)
			if c.header != "" {
				r.Header.Set(tenant.Header, c.header)
			}
			w := call(s, r)
			require.Equal(t, c.status, w.Code)
			require.Contains(t, w.Body.String(), c.body)
			if c.contentType == "application/grpc" {
				require.Equal(t, "16", w.Result().Trailer.Get("Grpc-Status"))
			}
		})
	}
}

func TestPanicEndsTheRequestOnly(t *testing.T) {
	s := newServer(t, nil)
	s.HandleAPI("/x.Service/", nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) { panic("boom") }))
	r := httptest.NewRequest("POST", "/x.Service/Do", nil)
	r.Header.Set("Content-Type", "application/json")
	w := call(s, r)
	require.Equal(t, 500, w.Code)
	require.Contains(t, w.Body.String(), `"code":"internal"`)
	require.NotContains(t, w.Body.String(), "boom")
	require.EqualValues(t, 1, testutil.ToFloat64(s.metrics.panics))
}

func TestBodyLimit(t *testing.T) {
	s := newServer(t, func(c *Config) { c.MaxBodyBytes = 10 })
	s.HandleAPI("/in", nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		_, err := io.ReadAll(r.Body)
		var tooLarge *nethttp.MaxBytesError
		if errors.As(err, &tooLarge) {
			w.WriteHeader(413)
		}
	}))
	require.Equal(t, 200, call(s, httptest.NewRequest("POST", "/in", strings.NewReader("0123456789"))).Code)
	announced := call(s, httptest.NewRequest("POST", "/in", strings.NewReader("0123456789x")))
	require.Equal(t, 413, announced.Code)
	require.Contains(t, announced.Body.String(), "11 bytes; limit 10")
	// Length not announced: the handler finds out.
	require.Equal(t, 413, call(s, httptest.NewRequest("POST", "/in", io.MultiReader(strings.NewReader("0123456789x")))).Code)

	octets := httptest.NewRequest("POST", "/in", strings.NewReader("0123456789x"))
	octets.Header.Set("Content-Type", "application/octet-stream")
	require.Equal(t, 413, call(s, octets).Code, "no RPC, whatever the content type")

	s.HandleAPI("/x.Service/", nethttp.NotFoundHandler())
	rpc := httptest.NewRequest("POST", "/x.Service/Do", strings.NewReader(`{"a":"0123456789"}`))
	rpc.Header.Set("Content-Type", "application/json")
	refused := call(s, rpc)
	require.Equal(t, 400, refused.Code)
	require.Contains(t, refused.Body.String(), `"code":"invalid_argument"`)
}

func TestRouteLabelsCannotBeInvented(t *testing.T) {
	s := newServer(t, nil)
	s.HandleAPI("/x.Service/", nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path != "/x.Service/Do" {
			nethttp.NotFound(w, r)
		}
	}))
	for _, path := range []string{"/x.Service/Do", "/x.Service/Evil1", "/x.Service/Evil2", "/nowhere"} {
		call(s, httptest.NewRequest("POST", path, nil))
	}
	require.Equal(t, 3, testutil.CollectAndCount(s.metrics.duration))
}

func TestOps(t *testing.T) {
	s := newServer(t, nil)
	var notReady error
	s.HandleOps("GET /ready", Ready(func(context.Context) error { return notReady }))
	s.HandleOps("POST /ingester/flush", Flush(func(context.Context) error { return notReady }, slog.New(slog.DiscardHandler)))
	s.HandleOps("GET /api/v1/status/buildinfo", BuildInfo(buildinfo.Get()))
	s.HandleOps("GET /api/v1/status/config", YAML(func() ([]byte, error) { return []byte("a: 1\n"), nil }))
	s.HandleOps("GET /{$}", StatusPage(buildinfo.Get(), []Link{{"/ready", "is it ready?"}}))
	s.HandlePprof(nethttp.NotFoundHandler())

	get := func(path string) *httptest.ResponseRecorder { return call(s, httptest.NewRequest("GET", path, nil)) }
	require.Equal(t, 200, get("/ready").Code)
	require.Equal(t, 204, call(s, httptest.NewRequest("POST", "/ingester/flush", nil)).Code)
	require.Equal(t, 405, get("/ingester/flush").Code)
	notReady = fault.New(fault.Unavailable, "the WAL is being replayed")
	require.Equal(t, 503, get("/ready").Code)
	require.Contains(t, get("/ready").Body.String(), "the WAL is being replayed")
	require.Equal(t, 503, call(s, httptest.NewRequest("POST", "/ingester/flush", nil)).Code)
	var info struct{ Data buildinfo.Info }
	require.NoError(t, json.Unmarshal(get("/api/v1/status/buildinfo").Body.Bytes(), &info))
	require.Equal(t, "devel", info.Data.Version)
	require.Equal(t, "a: 1\n", get("/api/v1/status/config").Body.String())
	require.Contains(t, get("/").Body.String(), `<a href="/ready">`)
	require.Equal(t, 404, get("/nothing").Code)
	require.Equal(t, 200, get("/debug/pprof/").Code)
}

func TestServeBothProtocolsAndDrain(t *testing.T) {
	s := newServer(t, nil)
	entered, leave := make(chan bool, 1), make(chan bool)
	s.HandleOps("/proto", nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.HandleOps("/slow", nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		entered <- true
		<-leave
		_, _ = io.WriteString(w, "done")
	}))
	require.NoError(t, s.Listen(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()

	h2 := new(nethttp.Protocols)
	h2.SetUnencryptedHTTP2(true)
	require.Equal(t, "HTTP/2.0", fetch(t, &nethttp.Client{Transport: &nethttp.Transport{Protocols: h2}}, s, "/proto"))
	require.Equal(t, "HTTP/1.1", fetch(t, nethttp.DefaultClient, s, "/proto"))

	slow := make(chan string, 1)
	go func() { slow <- fetch(t, nethttp.DefaultClient, s, "/slow") }()
	<-entered
	stop()
	time.AfterFunc(20*time.Millisecond, func() { close(leave) })
	require.NoError(t, <-ended)
	require.Equal(t, "done", <-slow)
}

func fetch(t *testing.T, c *nethttp.Client, s *Server, path string) string {
	t.Helper()
	res, err := c.Get("http://" + s.Addr() + path)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func TestPortConflictIsASentence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s := newServer(t, func(c *Config) { c.Port = l.Addr().(*net.TCPAddr).Port })
	err = s.Listen(t.Context())
	require.ErrorContains(t, err, "the address "+l.Addr().String()+" is taken by another process")
}

func TestConfigProblems(t *testing.T) {
	c := Config{Port: 70000, ShutdownTimeout: -1}
	require.Len(t, c.Validate(), 3)
}
