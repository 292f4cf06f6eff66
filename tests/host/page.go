package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// bootMark stands in the built page where the boot data goes.
const bootMark = `"__BOOT_DATA__"`

// page is a built host page.
type page struct {
	dir     string
	html    []byte
	grafana string // version of the @grafana packages it was built from
}

func loadPage(dir string) (*page, error) {
	html, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		return nil, fmt.Errorf("build it with npm --prefix %s run build: %w", filepath.Dir(dir), err)
	}
	if !bytes.Contains(html, []byte(bootMark)) {
		return nil, errors.New("index.html has no place for the boot data")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "host.json"))
	if err != nil {
		return nil, err
	}
	var about struct{ Grafana string }
	if err := json.Unmarshal(raw, &about); err != nil {
		return nil, fmt.Errorf("host.json: %w", err)
	}
	return &page{dir: dir, html: html, grafana: about.Grafana}, nil
}

func (h *host) pageRoutes(mux *http.ServeMux) {
	own := http.FileServer(http.Dir(h.page.dir))
	mux.Handle("GET /public/host/", http.StripPrefix("/public/host/", own))
	for path, folder := range map[string]string{
		"/public/img/": "/public/", "/public/build/img/": "/public/build/", "/public/fonts/": "/public/",
	} {
		mux.Handle("GET "+path, http.StripPrefix(folder, own))
	}
	mux.HandleFunc("GET /public/plugins/{id}/{path...}", h.answer(h.pluginFile))
	mux.Handle("GET /public/", http.NotFoundHandler())
	mux.Handle("GET /favicon.ico", http.NotFoundHandler())
	mux.HandleFunc("/", h.answer(h.servePage))
}

func (h *host) pluginFile(w http.ResponseWriter, r *http.Request) error {
	p := findPlugin(h.plugins, r.PathValue("id"))
	if p == nil {
		return notFound("plugin", r.PathValue("id"))
	}
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, os.DirFS(p.Dir), r.PathValue("path"))
	return nil
}

func (h *host) servePage(w http.ResponseWriter, r *http.Request) error {
	boot := map[string]any{
		"user":     h.user(r),
		"settings": h.bootSettings(),
		"navTree":  []any{},
		"assets":   map[string]any{"dark": "", "light": ""},
	}
	raw, err := json.Marshal(boot) // escapes <, > and &, so it is safe inside a script
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(bytes.Replace(h.page.html, []byte(bootMark), raw, 1))
	return nil
}

func (h *host) user(r *http.Request) map[string]any {
	theme := "dark"
	if r.URL.Query().Get("theme") == "light" {
		theme = "light"
	}
	return map[string]any{
		"id": 1, "uid": "tester", "login": "tester", "name": "Tester", "email": "tester@localhost",
		"isSignedIn": true, "isGrafanaAdmin": true, "orgId": 1, "orgName": "Main Org.", "orgRole": h.role, "orgCount": 1,
		"theme": theme, "lightTheme": theme == "light", "timezone": "browser", "weekStart": "browser",
		"locale": "en-US", "language": "en-US", "permissions": map[string]bool{
			"datasources:query": true, "datasources:explore": true, "datasources:write": true, "plugins:write": true,
			"plugins.app:access": true, "datasources:read": true,
		},
	}
}

// bootSettings is the part of Grafana's frontend settings that plugins and @grafana packages read.
func (h *host) bootSettings() map[string]any {
	apps, panels := map[string]any{}, map[string]any{}
	for _, p := range h.plugins {
		switch p.Type {
		case "app":
			apps[p.ID] = map[string]any{
				"id": p.ID, "path": "public/plugins/" + p.ID + "/module.js", "version": p.Version, "preload": false,
				"angular": map[string]any{"detected": false}, "loadingStrategy": "script",
				"dependencies": map[string]any{"extensions": map[string]any{"exposedComponents": []any{}}},
				"extensions": map[string]any{
					"addedLinks": []any{}, "addedComponents": []any{}, "addedFunctions": []any{},
					"exposedComponents": []any{}, "extensionPoints": []any{},
				},
			}
		case "panel":
			panels[p.ID] = p.meta()
		}
	}
	datasources, first := map[string]any{}, ""
	for _, d := range h.settings.allDataSources() {
		datasources[d.Name] = h.dataSourceForBrowser(d)
		if first == "" || d.IsDefault {
			first = d.Name
		}
	}
	return map[string]any{
		"appUrl": h.url + "/", "appSubUrl": "", "namespace": "default",
		"buildInfo": map[string]any{
			"version": h.page.grafana, "versionString": "Grafana v" + h.page.grafana, "commit": "host",
			"env": "production", "edition": "Open Source", "buildstamp": 0, "hideVersion": false,
		},
		"apps": apps, "panels": panels, "datasources": datasources, "defaultDatasource": first,
		"featureToggles": map[string]bool{}, "disableSanitizeHtml": false, "minRefreshInterval": "5s",
		"timePicker": map[string]any{"quickRanges": []any{}},
		"dateFormats": map[string]any{
			"fullDate": "YYYY-MM-DD HH:mm:ss", "useBrowserLocale": false, "defaultTimezone": "browser",
			"interval": map[string]any{
				"millisecond": "HH:mm:ss.SSS", "second": "HH:mm:ss", "minute": "HH:mm", "hour": "MM/DD HH:mm",
				"day": "MM/DD", "month": "YYYY-MM", "year": "YYYY",
			},
		},
		"anonymousEnabled": false, "viewersCanEdit": false, "liveEnabled": false, "locale": "en-US", "language": "en-US",
	}
}
