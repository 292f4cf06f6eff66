package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
)

// instance holds the settings of the app or of one data source, as Grafana's database would.
type instance struct {
	ID            int64
	UID           string // data sources only
	Name          string
	PluginID      string
	URL           string
	BasicAuth     bool
	BasicAuthUser string
	IsDefault     bool
	Enabled       bool
	JSONData      map[string]any
	Secure        map[string]string // never sent to the browser
	Updated       time.Time         // a new time makes the plugin build a new instance
}

// update is what the browser posts to change an instance.
type update struct {
	Name           *string           `json:"name"`
	URL            *string           `json:"url"`
	BasicAuth      *bool             `json:"basicAuth"`
	BasicAuthUser  *string           `json:"basicAuthUser"`
	Enabled        *bool             `json:"enabled"`
	JSONData       map[string]any    `json:"jsonData"`
	SecureJSONData map[string]string `json:"secureJsonData"`
}

// settings keeps every instance and dashboard until the host ends.
type settings struct {
	mu          sync.Mutex // guards all below; instances are handed out as copies
	apps        map[string]*instance
	dataSources []*instance
	dashboards  []dashboard
}

// newSettings applies the provisioning. The server URL given on the command line wins over the provisioned one:
// that one usually names a container.
func newSettings(plugins []*Plugin, from provisioned, serverURL string) *settings {
	s := &settings{apps: map[string]*instance{}, dashboards: from.Dashboards}
	now := time.Now()
	for _, p := range plugins {
		switch p.Type {
		case "app":
			app := &instance{Name: p.Name, PluginID: p.ID, Enabled: true, JSONData: map[string]any{}, Updated: now}
			for _, given := range from.Apps {
				if given.Type == p.ID {
					app.Enabled = !given.Disabled
					app.JSONData, app.Secure = copyOrEmpty(given.JSONData), texts(given.SecureJSONData)
				}
			}
			app.JSONData["serverUrl"] = serverURL
			s.apps[p.ID] = app
		case "datasource":
			s.addDataSources(p, from.DataSources, serverURL, now)
		}
	}
	return s
}

func (s *settings) addDataSources(p *Plugin, given []provisionedDataSource, serverURL string, now time.Time) {
	before := len(s.dataSources)
	for _, d := range given {
		if d.Type != p.ID {
			continue
		}
		if d.UID == "" {
			d.UID = d.Name
		}
		s.dataSources = append(s.dataSources, &instance{
			ID: int64(len(s.dataSources) + 1), UID: d.UID, Name: d.Name, PluginID: p.ID, URL: serverURL,
			BasicAuth: d.BasicAuth, BasicAuthUser: d.BasicAuthUser, IsDefault: d.IsDefault, Updated: now,
			JSONData: copyOrEmpty(d.JSONData), Secure: texts(d.SecureJSONData),
		})
	}
	if len(s.dataSources) == before {
		s.dataSources = append(s.dataSources, &instance{
			ID: int64(before + 1), UID: p.ID, Name: p.Name, PluginID: p.ID, URL: serverURL, IsDefault: before == 0,
			JSONData: map[string]any{}, Updated: now,
		})
	}
}

func (s *settings) app(id string) (instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return snapshot(s.apps[id])
}

// dataSource finds a data source by uid, else by name.
func (s *settings) dataSource(uid string) (instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return snapshot(s.findDataSource(uid))
}

func (s *settings) findDataSource(uid string) *instance {
	for _, match := range []func(*instance) bool{
		func(d *instance) bool { return d.UID == uid },
		func(d *instance) bool { return d.Name == uid },
	} {
		if i := slices.IndexFunc(s.dataSources, match); i >= 0 {
			return s.dataSources[i]
		}
	}
	return nil
}

func (s *settings) allDataSources() []instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]instance, 0, len(s.dataSources))
	for _, d := range s.dataSources {
		c, _ := snapshot(d)
		all = append(all, c)
	}
	return all
}

func (s *settings) updateApp(id string, u update) (instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return snapshot(s.apps[id].apply(u))
}

func (s *settings) updateDataSource(uid string, u update) (instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return snapshot(s.findDataSource(uid).apply(u))
}

func (i *instance) apply(u update) *instance {
	if i == nil {
		return nil
	}
	set(&i.Name, u.Name)
	set(&i.URL, u.URL)
	set(&i.BasicAuth, u.BasicAuth)
	set(&i.BasicAuthUser, u.BasicAuthUser)
	set(&i.Enabled, u.Enabled)
	if u.JSONData != nil {
		i.JSONData = u.JSONData
	}
	secure := map[string]string{}
	maps.Copy(secure, i.Secure)
	maps.Copy(secure, u.SecureJSONData)
	i.Secure, i.Updated = secure, time.Now()
	return i
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func snapshot(i *instance) (instance, bool) {
	if i == nil {
		return instance{}, false
	}
	return *i, true
}

// secureFields names the secrets that are set, which is all a browser learns of them.
func (i instance) secureFields() map[string]bool {
	fields := map[string]bool{}
	for k, v := range i.Secure {
		fields[k] = v != ""
	}
	return fields
}

// fillContext puts the instance into the context of a plugin request.
func (i instance) fillContext(c *backend.PluginContext) error {
	raw, err := json.Marshal(i.JSONData)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if i.UID == "" {
		c.AppInstanceSettings = &backend.AppInstanceSettings{
			JSONData: raw, DecryptedSecureJSONData: i.Secure, Updated: i.Updated,
		}
		return nil
	}
	c.DataSourceInstanceSettings = &backend.DataSourceInstanceSettings{
		ID: i.ID, UID: i.UID, Type: i.PluginID, Name: i.Name, URL: i.URL, BasicAuthEnabled: i.BasicAuth,
		BasicAuthUser: i.BasicAuthUser, JSONData: raw, DecryptedSecureJSONData: i.Secure, Updated: i.Updated,
	}
	return nil
}

func copyOrEmpty(m map[string]any) map[string]any {
	c := map[string]any{}
	maps.Copy(c, m)
	return c
}

func texts(m map[string]any) map[string]string {
	t := map[string]string{}
	for k, v := range m {
		t[k] = fmt.Sprint(v)
	}
	return t
}
