package main

import (
	"encoding/json"
	"net/http"
)

// The handlers in this file answer from the host's settings alone: what Grafana's database would hold.

func (h *host) health(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{
		"database": "ok", "version": h.page.grafana, "processes": h.processes.pids(),
	})
}

func (h *host) frontendSettings(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, h.bootSettings())
}

// dataSourceForBrowser is a data source as Grafana shows it in its settings API and boot data.
func (h *host) dataSourceForBrowser(d instance) map[string]any {
	v := map[string]any{
		"id": d.ID, "uid": d.UID, "orgId": 1, "name": d.Name, "type": d.PluginID, "access": "proxy",
		"url": "/api/datasources/proxy/uid/" + d.UID, "isDefault": d.IsDefault, "basicAuth": "", "readOnly": false,
		"jsonData": d.JSONData, "cachingConfig": map[string]any{"enabled": false, "TTLMs": 0},
	}
	if p := findPlugin(h.plugins, d.PluginID); p != nil {
		v["meta"], v["module"] = p.meta(), "public/plugins/"+p.ID+"/module.js"
	}
	return v
}

// dataSourceForEditor is a data source as its configuration editor needs it.
func (h *host) dataSourceForEditor(d instance) map[string]any {
	v := h.dataSourceForBrowser(d)
	v["url"], v["basicAuth"], v["basicAuthUser"] = d.URL, d.BasicAuth, d.BasicAuthUser
	v["secureJsonFields"], v["typeName"], v["version"] = d.secureFields(), d.Name, 1
	return v
}

func (h *host) listDataSources(w http.ResponseWriter, _ *http.Request) error {
	list := []map[string]any{}
	for _, d := range h.settings.allDataSources() {
		list = append(list, h.dataSourceForEditor(d))
	}
	return writeJSON(w, http.StatusOK, list)
}

func (h *host) getDataSource(w http.ResponseWriter, r *http.Request) error {
	d, ok := h.settings.dataSource(r.PathValue("uid"))
	if !ok {
		return notFound("data source", r.PathValue("uid"))
	}
	return writeJSON(w, http.StatusOK, h.dataSourceForEditor(d))
}

func (h *host) putDataSource(w http.ResponseWriter, r *http.Request) error {
	u, err := readUpdate(r)
	if err != nil {
		return err
	}
	d, ok := h.settings.updateDataSource(r.PathValue("uid"), u)
	if !ok {
		return notFound("data source", r.PathValue("uid"))
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"message": "Datasource updated", "id": d.ID, "name": d.Name, "datasource": h.dataSourceForEditor(d),
	})
}

func readUpdate(r *http.Request) (update, error) {
	var u update
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
		return u, statusError{http.StatusBadRequest, "settings: " + err.Error()}
	}
	return u, nil
}

func (h *host) pluginSettings(w http.ResponseWriter, r *http.Request) error {
	p := findPlugin(h.plugins, r.PathValue("id"))
	if p == nil {
		return notFound("plugin", r.PathValue("id"))
	}
	v := p.meta()
	v["enabled"], v["pinned"], v["hasUpdate"] = true, true, false
	v["jsonData"], v["secureJsonFields"] = map[string]any{}, map[string]bool{}
	if app, ok := h.settings.app(p.ID); ok {
		v["enabled"], v["jsonData"], v["secureJsonFields"] = app.Enabled, app.JSONData, app.secureFields()
	}
	return writeJSON(w, http.StatusOK, v)
}

func (h *host) savePluginSettings(w http.ResponseWriter, r *http.Request) error {
	u, err := readUpdate(r)
	if err != nil {
		return err
	}
	if _, ok := h.settings.updateApp(r.PathValue("id"), u); !ok {
		return notFound("app", r.PathValue("id"))
	}
	return writeJSON(w, http.StatusOK, map[string]any{"message": "Plugin settings updated"})
}

func (h *host) listDashboards(w http.ResponseWriter, _ *http.Request) error {
	list := []map[string]any{}
	for _, d := range h.settings.dashboards {
		list = append(list, map[string]any{"uid": d.UID, "title": d.Title, "type": "dash-db", "url": "/d/" + d.UID})
	}
	return writeJSON(w, http.StatusOK, list)
}

func (h *host) getDashboard(w http.ResponseWriter, r *http.Request) error {
	for _, d := range h.settings.dashboards {
		if d.UID == r.PathValue("uid") {
			return writeJSON(w, http.StatusOK, map[string]any{"dashboard": d.Body, "meta": map[string]any{"canEdit": false}})
		}
	}
	return notFound("dashboard", r.PathValue("uid"))
}
