package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeBackend is the fake plugin's executable, built once for all tests.
var fakeBackend string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "hearth-host")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		fakeBackend = filepath.Join(dir, fmt.Sprintf("gpx_fake_%s_%s", runtime.GOOS, runtime.GOARCH))
		if runtime.GOOS == "windows" {
			fakeBackend += ".exe"
		}
		if out, err := exec.Command("go", "build", "-o", fakeBackend, "./testdata/fakeplugin").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// fakeDist copies the fake plugin to a folder of the test.
func fakeDist(t *testing.T) string {
	t.Helper()
	dist := filepath.Join(t.TempDir(), "dist")
	require.NoError(t, os.CopyFS(dist, os.DirFS("testdata/fakedist")))
	require.NoError(t, os.Link(fakeBackend, filepath.Join(dist, filepath.Base(fakeBackend))))
	return dist
}

func fakeWeb(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	html := `<!doctype html><script>window.boot = "__BOOT_DATA__";</script>`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte(html), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "host.json"), []byte(`{"grafana":"11.6.16"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "host.js"), []byte(`"é"`), 0o600))
	return dir
}

func fakeProvisioning(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{
		"datasources/a.yaml": "apiVersion: 1\ndatasources:\n  - name: Fake\n    uid: one\n    type: fake-datasource\n" +
			"    url: http://container:4040\n    jsonData: {x: $FAKE_X}\n    secureJsonData: {token: t}\n",
		"plugins/a.yaml":        "apiVersion: 1\napps:\n  - type: fake-app\n    jsonData: {tenantId: blue}\n",
		"dashboards/a.yaml":     "apiVersion: 1\n",
		"dashboards/sub/d.json": `{"uid":"d1","title":"First","panels":[]}`,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(body), 0o600))
	}
	return dir
}

// started is a host running inside the test.
type started struct {
	t    *testing.T
	url  string
	stop func()
}

func startHost(t *testing.T, serverURL string) *started {
	t.Helper()
	t.Setenv("FAKE_X", "7")
	ctx, cancel := context.WithCancel(t.Context())
	opts := Options{
		Dist: fakeDist(t), Web: fakeWeb(t), Listen: "127.0.0.1:0", ServerURL: serverURL, Data: t.TempDir(),
		Provisioning: fakeProvisioning(t), Role: "Admin", LogLevel: "error",
	}
	lines, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, opts, w, io.Discard)
		_ = w.Close()
	}()
	line, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("host did not start: %v", <-ended)
	}
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return &started{t: t, url: strings.TrimSpace(strings.TrimPrefix(line, "listening ")), stop: stop}
}

// call sends a request and returns status, headers and the parsed JSON body.
func (s *started) call(method, path, body string, headers ...string) (int, http.Header, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	var v map[string]any
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") && bytes.HasPrefix(raw, []byte("{")) {
		require.NoError(s.t, json.Unmarshal(raw, &v), string(raw))
	} else {
		v = map[string]any{"text": string(raw)}
	}
	return res.StatusCode, res.Header, v
}

func TestResourcesReachThePlugin(t *testing.T) {
	s := startHost(t, "http://example:4040")

	code, headers, got := s.call("POST", "/api/plugins/fake-app/resources/a/b?c=d%20e", "hello", "X-Test-Role", "Viewer")
	require.Equal(t, http.StatusAccepted, code)
	require.Equal(t, "yes", headers.Get("X-Fake"))
	require.Equal(t, "a/b", got["path"])
	require.Equal(t, "a/b?c=d%20e", got["url"])
	require.Equal(t, "hello", got["body"])
	require.Equal(t, "Viewer", got["role"])
	require.NotEmpty(t, got["data"])
	require.Equal(t, map[string]any{"tenantId": "blue", "serverUrl": "http://example:4040"}, got["settings"])

	_, _, ds := s.call("GET", "/api/datasources/uid/one/resources/x", "")
	require.Equal(t, "http://example:4040", ds["serverUrl"], "the provisioned container address is not used")
	require.Equal(t, map[string]any{"x": 7.0}, ds["settings"])
	require.NotEqual(t, got["pid"], ds["pid"], "app and data source are two processes")

	code, _, got = s.call("GET", "/api/plugins/other/resources/x", "")
	require.Equal(t, http.StatusNotFound, code)
	require.Contains(t, got["message"], "other")
}

func TestQueriesAndHealth(t *testing.T) {
	s := startHost(t, "")
	const q = `{"refId":"%s","queryType":"%s","datasource":{"uid":"one","type":"fake-datasource"}}`
	good, bad := fmt.Sprintf(q, "A", "good"), fmt.Sprintf(q, "B", "bad")

	code, _, got := s.call("POST", "/api/ds/query", `{"from":"1000","to":2000,"queries":[`+good+`]}`)
	require.Equal(t, http.StatusOK, code)
	frames := got["results"].(map[string]any)["A"].(map[string]any)["frames"].([]any)
	values := frames[0].(map[string]any)["data"].(map[string]any)["values"]
	require.Equal(t, []any{[]any{1000.0, 2000.0}, []any{1.0, 2.0}}, values)

	code, _, got = s.call("POST", "/api/ds/query", `{"from":"now-1h","to":"now","queries":[`+good+`,`+bad+`]}`)
	require.Equal(t, http.StatusBadRequest, code)
	require.Equal(t, "bad query", got["results"].(map[string]any)["B"].(map[string]any)["error"])

	code, _, got = s.call("POST", "/api/ds/query", `{"from":"yesterday","to":"now","queries":[]}`)
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, got["message"], "yesterday")

	code, _, got = s.call("GET", "/api/plugins/fake-app/health", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, map[string]any{"status": "OK", "message": "fine", "details": map[string]any{"a": 1.0}}, got)
	code, _, got = s.call("GET", "/api/datasources/uid/one/health", "")
	require.Equal(t, http.StatusBadRequest, code)
	require.Equal(t, "ERROR", got["status"])
}

func TestSettingsReachThePluginAndSecretsStay(t *testing.T) {
	s := startHost(t, "")
	_, _, got := s.call("POST", "/api/plugins/fake-app/settings",
		`{"enabled":true,"jsonData":{"serverUrl":"http://new"},"secureJsonData":{"token":"secret"}}`)
	require.Contains(t, got["message"], "updated")

	_, _, got = s.call("GET", "/api/plugins/fake-app/resources/x", "")
	require.Equal(t, map[string]any{"serverUrl": "http://new"}, got["settings"])
	require.Equal(t, map[string]any{"token": "secret"}, got["secure"])

	_, _, got = s.call("GET", "/api/plugins/fake-app/settings", "")
	require.Equal(t, map[string]any{"token": true}, got["secureJsonFields"])
	require.NotContains(t, fmt.Sprint(got), "secret")
	require.Equal(t, "public/plugins/fake-app/module.js", got["module"])

	_, _, got = s.call("PUT", "/api/datasources/uid/one", `{"name":"Renamed","url":"http://other"}`)
	require.Equal(t, "Renamed", got["name"])
	_, _, got = s.call("GET", "/api/datasources/uid/one", "")
	require.Equal(t, "http://other", got["url"])
	require.Equal(t, map[string]any{"token": true}, got["secureJsonFields"])
}

func TestPagesAndFiles(t *testing.T) {
	s := startHost(t, "")
	code, headers, got := s.call("GET", "/a/fake-app/some/page", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "text/html; charset=utf-8", headers.Get("Content-Type"))
	require.Contains(t, got["text"], `"defaultDatasource":"Fake"`)
	require.NotContains(t, got["text"], "__BOOT_DATA__")

	_, headers, _ = s.call("GET", "/public/host/host.js", "")
	require.Contains(t, headers.Get("Content-Type"), "charset=utf-8")
	code, _, got = s.call("GET", "/public/plugins/fake-datasource/module.js", "")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, got["text"], "DataSourceWithBackend")
	for _, missing := range []string{"/public/plugins/fake-app/nothing.js", "/public/x", "/api/x", "/api/dashboards/uid/x"} {
		code, _, _ = s.call("GET", missing, "")
		require.Equal(t, http.StatusNotFound, code, missing)
	}
	_, _, got = s.call("GET", "/api/dashboards/uid/d1", "")
	require.Equal(t, "First", got["dashboard"].(map[string]any)["title"])
}

func TestDeadPluginIsStartedAgainAndNoneOutlivesTheHost(t *testing.T) {
	s := startHost(t, "")
	_, _, before := s.call("GET", "/api/plugins/fake-app/resources/x", "")
	_, _, health := s.call("GET", "/api/health", "")
	require.Equal(t, before["pid"], health["processes"].(map[string]any)["fake-app"])
	code, _, _ := s.call("GET", "/api/plugins/fake-app/resources/die", "")
	require.Equal(t, http.StatusInternalServerError, code)
	var after map[string]any
	require.Eventually(t, func() bool {
		code, _, after = s.call("GET", "/api/plugins/fake-app/resources/x", "")
		return code == http.StatusAccepted
	}, 10*time.Second, 50*time.Millisecond)
	require.NotEqual(t, before["pid"], after["pid"])

	s.stop()
	gone, err := os.FindProcess(int(after["pid"].(float64)))
	require.NoError(t, err)
	require.Error(t, gone.Signal(syscall.Signal(0)), "the plugin process is gone")
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	dist := filepath.Join(t.TempDir(), "dist")
	_, err := loadPlugins(dist)
	require.Error(t, err)
	require.NoError(t, os.CopyFS(dist, os.DirFS("testdata/fakedist")))
	_, err = loadPlugins(dist)
	require.ErrorContains(t, err, "executable of the backend")
	_, err = loadPage(t.TempDir())
	require.ErrorContains(t, err, "npm --prefix")
	_, err = readProvisioning(filepath.Join(dist, "none"), nil)
	require.NoError(t, err)
}
