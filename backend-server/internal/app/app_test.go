package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	nethttp "net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testConfig is a server on any free port and a fresh folder.
func testConfig(t *testing.T) Config {
	t.Helper()
	cfg := Default()
	cfg.HTTP.Address, cfg.HTTP.Port = "127.0.0.1", 0
	cfg.Ingester.DataPath = t.TempDir()
	cfg.SelfProfiling = false
	return cfg
}

// start runs an app until the test ends, or until stop is called.
func start(t *testing.T, cfg Config) (a *App, stop func()) {
	t.Helper()
	a, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
			ended <- nil
		case <-time.After(20 * time.Second):
			t.Error("does not stop")
		}
	}
	t.Cleanup(stop)
	require.Eventually(t, func() bool { return a.Ready(ctx) == nil }, 10*time.Second, 5*time.Millisecond)
	return a, stop
}

func request(t *testing.T, a *App, method, path, body string) (int, string) {
	t.Helper()
	req, err := nethttp.NewRequest(method, "http://"+a.Addr()+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := nethttp.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func TestOperations(t *testing.T) {
	a, _ := start(t, testConfig(t))
	for _, c := range []struct{ path, want string }{
		{"/", "Hearth"}, {"/ready", "ready"}, {"/metrics", "hearth_ingester_head_bytes"}, {"/metrics", "go_goroutines"},
		{"/api/v1/status/buildinfo", `"application":"hearth"`}, {"/api/v1/status/config", "head-max-bytes"}, {"/debug/pprof/", "goroutine"},
	} {
		status, body := request(t, a, "GET", c.path, "")
		require.Equal(t, 200, status, c.path)
		require.Contains(t, body, c.want, c.path)
	}
	status, _ := request(t, a, "POST", "/ingester/flush", "")
	require.Equal(t, 204, status)
}

func TestEmptyServerAnswers(t *testing.T) {
	a, _ := start(t, testConfig(t))
	status, body := request(t, a, "POST", "/querier.v1.QuerierService/ProfileTypes", `{"start":1000,"end":4000}`)
	require.Equal(t, 200, status)
	require.Equal(t, "{}", body)
}

func TestMultitenancy(t *testing.T) {
	cfg := testConfig(t)
	cfg.HTTP.Multitenancy = true
	a, _ := start(t, cfg)
	status, body := request(t, a, "POST", "/querier.v1.QuerierService/LabelNames", `{}`)
	require.Equal(t, 401, status)
	var answer struct{ Code, Message string }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, "unauthenticated", answer.Code)
	require.Contains(t, answer.Message, "X-Scope-OrgID")
	status, _ = request(t, a, "GET", "/ready", "")
	require.Equal(t, 200, status)
}

func TestFolderAndPortAreGivenBack(t *testing.T) {
	cfg := testConfig(t)
	a, stop := start(t, cfg)
	_, err := New(cfg, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "-db.data-path")
	stop()
	require.ErrorContains(t, a.Ready(t.Context()), "stopping")
	again, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, again.Close())
	start(t, cfg)
}

func TestARoleThatFailsEndsTheProcess(t *testing.T) {
	cfg := testConfig(t)
	dir := filepath.Join(cfg.Ingester.DataPath, "tenants", "team-a")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "head"), nil, 0o644))
	a, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.ErrorContains(t, a.Run(t.Context()), "open database of tenant team-a")
}

func TestTargets(t *testing.T) {
	for _, target := range Targets() {
		cfg := testConfig(t)
		cfg.Target.Values = []string{target}
		a, stop := start(t, cfg)
		writes, _ := request(t, a, "POST", "/push.v1.PusherService/Push", "{}")
		reads, _ := request(t, a, "POST", "/querier.v1.QuerierService/LabelNames", "{}")
		flushes, _ := request(t, a, "POST", "/ingester/flush", "")
		require.Equal(t, slices.Contains([]string{All, Write, Distributor}, target), writes != 404, target)
		require.Equal(t, slices.Contains([]string{All, Read, QueryFrontend}, target), reads != 404, target)
		require.Equal(t, !slices.Contains([]string{StoreGateway, QueryScheduler, Compactor, Backend}, target), flushes != 404, target)
		compacts, _ := request(t, a, "POST", "/compactor/run", "")
		deletes, _ := request(t, a, "GET", "/hearth/v1/deletions", "")
		require.Equal(t, slices.Contains([]string{All, Compactor, Backend}, target), compacts == 204, target)
		require.Equal(t, slices.Contains([]string{All, Compactor, Backend}, target), deletes == 200, target)
		stop()
	}
}

func TestSelfProfilingPushesInProcess(t *testing.T) {
	cfg := testConfig(t)
	cfg.SelfProfiling = true
	a, _ := start(t, cfg)
	// Work for the CPU profile to see; asking for another one ends it early.
	for begin, x := time.Now(), 0; time.Since(begin) < 1200*time.Millisecond; x++ {
		_ = x
	}
	status, body := request(t, a, "GET", "/debug/pprof/profile?seconds=1", "")
	require.Equal(t, 200, status, body)
	require.Eventually(t, func() bool {
		_, body := request(t, a, "POST", "/querier.v1.QuerierService/LabelValues", `{"name":"__profile_type__"}`)
		return strings.Contains(body, "process_cpu:cpu:nanoseconds:cpu:nanoseconds")
	}, 10*time.Second, 50*time.Millisecond)
	_, types := request(t, a, "POST", "/querier.v1.QuerierService/ProfileTypes", `{}`)
	for _, want := range []string{"memory:inuse_space:bytes:space:bytes", "memory:alloc_space:bytes:space:bytes", "goroutine:goroutine:count:goroutine:count"} {
		require.Contains(t, types, want)
	}
}

func TestParse(t *testing.T) {
	cmd, err := Parse([]string{"-target=querier,ingester", "-config.check"})
	require.NoError(t, err)
	require.Equal(t, []string{"querier", "ingester"}, cmd.Config.Target.Values)
	require.True(t, cmd.Check)

	_, err = Parse([]string{"-target=ruler", "-storage.backend=tape", "-log.level=loud", "-db.max-block-duration=1s", "-nonsense"})
	for _, want := range []string{
		`-target: "ruler" is not allowed; want all, backend, read, write, distributor, ingester, querier, query-frontend, query-scheduler, store-gateway, compactor`,
		`-storage.backend: "tape" is not allowed`, `-log.level: "loud" is not allowed`, `-db.max-block-duration: "1s" is not allowed`,
		`-nonsense is not a known flag`,
	} {
		require.ErrorContains(t, err, want)
	}
	cmd, err = Parse([]string{"-help"})
	require.NoError(t, err)
	require.True(t, cmd.Help)
	require.Contains(t, Usage(), "-server.http-listen-port")
}

func TestYAMLIsReadBack(t *testing.T) {
	cmd, err := Parse([]string{"-server.http-listen-port=9", "-db.head-max-bytes=1GiB", "-wal.sync=interval", "-db.block-compression=none", "-target=ingester,querier"})
	require.NoError(t, err)
	text, err := cmd.Config.YAML()
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(name, text, 0o600))
	again, err := Parse([]string{"-config.file", name})
	require.NoError(t, err)
	second, err := again.Config.YAML()
	require.NoError(t, err)
	require.True(t, bytes.Equal(text, second), "%s\n%s", text, second)
	require.Equal(t, cmd.Config.Ingester, again.Config.Ingester)
}
