package dev

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// manifest is the part of a plugin.json that other files repeat.
type manifest struct {
	ID, Type, Executable string
	Backend              bool
	Info                 struct {
		Version, Updated string
		Logos            struct{ Small, Large string }
	}
	Includes     []struct{ Type, Name, Path, Role string }
	Dependencies struct{ GrafanaDependency string }
}

const top = "../.."

func readManifest(t *testing.T, path string) manifest {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(top, path))
	require.NoError(t, err)
	var m manifest
	require.NoError(t, json.Unmarshal(b, &m))
	return m
}

// TestManifestsAgree holds the plugin.json files to what Grafana asks for and
// to each other: nothing else would notice before somebody installs them.
func TestManifestsAgree(t *testing.T) {
	app := readManifest(t, "plugin.json")
	require.Equal(t, "app", app.Type)
	require.True(t, app.Backend)
	require.Equal(t, "gpx_hearth", app.Executable)

	ids := []string{app.ID}
	manifests := map[string]manifest{"": app}
	for _, include := range app.Includes {
		switch include.Type {
		case "page":
			require.True(t, strings.HasPrefix(include.Path, "/a/%PLUGIN_ID%/"), include.Path)
			require.NotEmpty(t, include.Role, include.Name)
		default:
			nested := readManifest(t, filepath.Join("src", include.Path))
			require.Equal(t, include.Type, nested.Type)
			require.Equal(t, include.Name, nestedName(t, include.Path))
			ids = append(ids, nested.ID)
			manifests[filepath.Dir(include.Path)] = nested
		}
	}
	require.Equal(t, strings.Split(pluginIDs, ","), ids)
	require.Equal(t, "../gpx_hearth", manifests["datasource"].Executable, "one executable for both")

	for dir, m := range manifests {
		require.Equal(t, "%VERSION%", m.Info.Version, m.ID)
		require.Equal(t, "%TODAY%", m.Info.Updated, m.ID)
		require.Equal(t, app.Dependencies.GrafanaDependency, m.Dependencies.GrafanaDependency, m.ID)
		for _, logo := range []string{m.Info.Logos.Small, m.Info.Logos.Large} {
			require.FileExists(t, filepath.Join(top, "src", dir, logo), m.ID)
		}
	}
}

func nestedName(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(top, "src", path))
	require.NoError(t, err)
	var m struct{ Name string }
	require.NoError(t, json.Unmarshal(b, &m))
	return m.Name
}

func TestComposeAllowsOurPlugins(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(top, "docker-compose.yaml"))
	require.NoError(t, err)
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Volumes     []string
		}
	}
	require.NoError(t, yaml.Unmarshal(b, &compose))
	grafana := compose.Services["grafana"]
	require.Equal(t, pluginIDs, grafana.Environment["GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS"])
	require.Contains(t, grafana.Volumes, "./provisioning:/etc/grafana/provisioning:ro")
}

// TestDashboardsAskOurDataSource: a wrong uid would only show as a panel that says no.
func TestDashboardsAskOurDataSource(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(top, "provisioning/dashboards/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	known := map[string]bool{"timeseries": true, "text": true, readManifest(t, "src/panels/flamegraph/plugin.json").ID: true}
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		var d struct {
			UID    string
			Panels []struct {
				Type    string
				Targets []struct {
					Datasource    struct{ UID, Type string }
					ProfileTypeID string
				}
			}
		}
		require.NoError(t, json.Unmarshal(b, &d))
		require.NotEmpty(t, d.UID)
		for _, p := range d.Panels {
			require.True(t, known[p.Type], p.Type)
			for _, target := range p.Targets {
				require.Equal(t, "hearth", target.Datasource.UID)
				require.Equal(t, readManifest(t, "src/datasource/plugin.json").ID, target.Datasource.Type)
				require.Equal(t, 4, strings.Count(target.ProfileTypeID, ":"), target.ProfileTypeID)
			}
		}
	}
}

func TestProvisioningForAGrafanaOutsideOfContainers(t *testing.T) {
	t.Chdir(top)
	to := filepath.Join(t.TempDir(), "provisioning")
	require.NoError(t, copyProvisioning(to))
	b, err := os.ReadFile(filepath.Join(to, "dashboards", "provider.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(b), filepath.ToSlash(to)+"/dashboards")
	require.FileExists(t, filepath.Join(to, "datasources", "hearth.yaml"))
}
