package dev

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary play a Grafana that answers with its settings.
func TestMain(m *testing.M) {
	if os.Getenv("HEARTH_FAKE_GRAFANA") == "" {
		os.Exit(m.Run())
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"GF_PATHS_PLUGINS", "GF_PATHS_PROVISIONING", "GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS", "HEARTH_SERVER_URL"} {
			_, _ = fmt.Fprintln(w, name+"="+os.Getenv(name))
		}
		_, _ = fmt.Fprintln(w, os.Args[1:])
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Getenv("GF_SERVER_HTTP_PORT"), handler))
}

func TestFindGrafana(t *testing.T) {
	root := t.TempDir()
	installed := filepath.Join(root, "grafana")
	for _, dir := range []string{"bin", "conf"} {
		require.NoError(t, os.MkdirAll(filepath.Join(installed, dir), 0o755))
	}
	binary := filepath.Join(installed, "bin", "grafana")
	require.NoError(t, os.WriteFile(binary, nil, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(installed, "conf", "defaults.ini"), nil, 0o644))
	onPath := func(path string) func(string) (string, error) {
		return func(name string) (string, error) {
			if name == "grafana" && path != "" {
				return path, nil
			}
			if name == binary {
				return binary, nil
			}
			return "", exec.ErrNotFound
		}
	}
	for _, tc := range []struct{ home, path, wantHome, wantBinary string }{
		{installed, "", installed, binary},
		{"", binary, installed, binary},
		{"", "", "", ""},
		{filepath.Join(root, "elsewhere"), "", "", ""},
	} {
		home, got := findGrafana(tc.home, onPath(tc.path))
		require.Equal(t, tc.wantBinary, got)
		require.Equal(t, tc.wantHome, home)
	}
}

func TestStageOnDemand(t *testing.T) {
	t.Setenv("GRAFANA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	for wanted, want := range map[string]string{"": "no Grafana was found", "host": "plugin host", "docker": "Docker"} {
		t.Setenv("HEARTH_STAGE", wanted)
		s, err := findStage(t.Context())
		require.NoError(t, err)
		require.Contains(t, s.name, want)
	}
	for wanted, want := range map[string]string{"grafana": "set GRAFANA_HOME", "kibana": `HEARTH_STAGE="kibana" must be`} {
		t.Setenv("HEARTH_STAGE", wanted)
		_, err := findStage(t.Context())
		require.ErrorContains(t, err, want)
	}
}

func TestStartsAnInstalledGrafana(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	t.Setenv("HEARTH_FAKE_GRAFANA", "yes")
	provisioning, err := filepath.Abs(filepath.Join(top, "provisioning"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	require.NoError(t, os.CopyFS("provisioning", os.DirFS(provisioning)))
	require.NoError(t, os.MkdirAll("dist", 0o755))
	require.NoError(t, os.WriteFile("dist/module.js", nil, 0o644))

	up := stack{serverURL: "http://127.0.0.1:4040"}
	defer up.stop()
	base, err := startGrafana(t.Context(), &up, "/its/home", self)
	require.NoError(t, err)
	settings, err := get(t.Context(), base)
	require.NoError(t, err)
	require.Contains(t, settings, "GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS="+pluginIDs)
	require.Contains(t, settings, "HEARTH_SERVER_URL=http://127.0.0.1:4040")
	require.Contains(t, settings, "[server --homepath /its/home]")
	require.FileExists(t, "data/grafana/plugins/hearth-profiles-app/module.js")
	require.FileExists(t, "data/grafana/provisioning/datasources/hearth.yaml")
}
