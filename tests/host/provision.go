package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// provisioned is what a provisioning folder asks for.
type provisioned struct {
	DataSources []provisionedDataSource
	Apps        []provisionedApp
	Dashboards  []dashboard
}

type provisionedDataSource struct {
	UID, Name, Type, URL string
	IsDefault            bool           `yaml:"isDefault"`
	BasicAuth            bool           `yaml:"basicAuth"`
	BasicAuthUser        string         `yaml:"basicAuthUser"`
	JSONData             map[string]any `yaml:"jsonData"`
	SecureJSONData       map[string]any `yaml:"secureJsonData"`
}

type provisionedApp struct {
	Type           string
	Disabled       bool
	JSONData       map[string]any `yaml:"jsonData"`
	SecureJSONData map[string]any `yaml:"secureJsonData"`
}

type dashboard struct {
	UID, Title string
	Body       json.RawMessage
}

// readProvisioning reads a folder laid out as Grafana's (datasources, plugins, dashboards), and the dashboards that
// the plugins bring. A folder that does not exist asks for nothing.
func readProvisioning(dir string, plugins []*Plugin) (provisioned, error) {
	var all provisioned
	err := errors.Join(
		eachFile(filepath.Join(dir, "datasources"), []string{".yaml", ".yml"}, func(b []byte) error {
			var f struct {
				Datasources []provisionedDataSource
			}
			err := yaml.Unmarshal([]byte(os.ExpandEnv(string(b))), &f)
			all.DataSources = append(all.DataSources, f.Datasources...)
			return err
		}),
		eachFile(filepath.Join(dir, "plugins"), []string{".yaml", ".yml"}, func(b []byte) error {
			var f struct{ Apps []provisionedApp }
			err := yaml.Unmarshal([]byte(os.ExpandEnv(string(b))), &f)
			all.Apps = append(all.Apps, f.Apps...)
			return err
		}),
		eachFile(filepath.Join(dir, "dashboards"), []string{".json"}, all.addDashboard),
	)
	for _, p := range plugins {
		for _, path := range p.dashboardFiles() {
			b, readErr := os.ReadFile(path)
			if readErr == nil {
				readErr = all.addDashboard(b)
			}
			err = errors.Join(err, readErr)
		}
	}
	return all, err
}

// addDashboard keeps the first dashboard of each uid.
func (all *provisioned) addDashboard(b []byte) error {
	d := dashboard{Body: b}
	var head struct{ UID, Title string }
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	d.UID, d.Title = head.UID, head.Title
	if d.UID == "" {
		d.UID = strings.ToLower(strings.ReplaceAll(head.Title, " ", "-"))
	}
	for _, known := range all.Dashboards {
		if known.UID == d.UID {
			return nil
		}
	}
	all.Dashboards = append(all.Dashboards, d)
	return nil
}

// dashboardFiles are the dashboards a plugin.json includes.
func (p *Plugin) dashboardFiles() []string {
	includes, _ := p.manifest["includes"].([]any)
	var files []string
	for _, raw := range includes {
		include, _ := raw.(map[string]any)
		path, _ := include["path"].(string)
		if include["type"] == "dashboard" && path != "" {
			files = append(files, filepath.Join(p.Dir, path))
		}
	}
	return files
}

func eachFile(dir string, extensions []string, use func([]byte) error) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		for _, ext := range extensions {
			if filepath.Ext(path) != ext {
				continue
			}
			b, err := os.ReadFile(path)
			if err == nil {
				err = use(b)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	})
}
