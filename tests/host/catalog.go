package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
)

// Plugin is one plugin.json of the dist folder.
type Plugin struct {
	ID         string
	Type       string
	Name       string
	Version    string
	Executable string // absolute path; empty without a backend
	Dir        string
	Parent     string // ID of the app it is nested in; empty for the app
	manifest   map[string]any
}

// loadPlugins walks dist for plugin.json files, outermost first.
func loadPlugins(dist string) ([]*Plugin, error) {
	dist, err := filepath.Abs(dist)
	if err != nil {
		return nil, err
	}
	var plugins []*Plugin
	err = filepath.WalkDir(dist, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "plugin.json" {
			return err
		}
		p, err := readPlugin(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		plugins = append(plugins, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(plugins) == 0 {
		return nil, fmt.Errorf("no plugin.json below %s: build the plugin first", dist)
	}
	sort.SliceStable(plugins, func(i, j int) bool { return len(plugins[i].Dir) < len(plugins[j].Dir) })
	for _, p := range plugins[1:] {
		p.Parent = plugins[0].ID
	}
	return plugins, nil
}

func readPlugin(path string) (*Plugin, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m struct {
		ID, Type, Name, Executable string
		Backend                    bool
		Info                       struct{ Version string }
	}
	p := &Plugin{Dir: filepath.Dir(path)}
	if err := errors.Join(json.Unmarshal(raw, &m), json.Unmarshal(raw, &p.manifest)); err != nil {
		return nil, err
	}
	if m.ID == "" || m.Type == "" {
		return nil, errors.New("id or type is missing")
	}
	p.ID, p.Type, p.Name, p.Version = m.ID, m.Type, m.Name, m.Info.Version
	if m.Backend {
		if p.Executable, err = findExecutable(p.Dir, m.Executable); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// findExecutable joins folder, name and platform as Grafana does, so a nested plugin may say "../name".
func findExecutable(dir, name string) (string, error) {
	path := fmt.Sprintf("%s_%s_%s", filepath.Join(dir, name), runtime.GOOS, runtime.GOARCH)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("executable of the backend: %w", err)
	}
	return path, nil
}

// meta is what Grafana tells the browser about a plugin: its plugin.json and where to load it from.
func (p *Plugin) meta() map[string]any {
	base := "public/plugins/" + p.ID
	m := make(map[string]any, len(p.manifest)+8)
	for k, v := range p.manifest {
		m[k] = v
	}
	info := map[string]any{}
	if given, ok := p.manifest["info"].(map[string]any); ok {
		for k, v := range given {
			info[k] = v
		}
	}
	logos := map[string]any{"small": "", "large": ""}
	if given, ok := info["logos"].(map[string]any); ok {
		for k, v := range given {
			logos[k] = fmt.Sprintf("%s/%v", base, v)
		}
	}
	info["logos"] = logos
	m["info"] = info
	m["module"], m["baseUrl"] = base+"/module.js", base
	m["signature"], m["state"], m["loadingStrategy"] = "unsigned", m["state"], "script"
	if m["includes"] == nil {
		m["includes"] = []any{}
	}
	return m
}

func findPlugin(plugins []*Plugin, id string) *Plugin {
	for _, p := range plugins {
		if p.ID == id {
			return p
		}
	}
	return nil
}
