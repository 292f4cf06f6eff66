// Package plugin is the app's side of the backend: settings, health, resources.
//
// An App is one installation of the app in one Grafana organisation. The SDK
// makes a new one whenever the settings change, so an App never changes.
package plugin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/httpclient"
	"github.com/grafana/grafana-plugin-sdk-go/backend/instancemgmt"
	"github.com/grafana/grafana-plugin-sdk-go/backend/resource/httpadapter"

	"github.com/hearth-profiles/hearth/pkg/connection"
	"github.com/hearth-profiles/hearth/pkg/resources"
	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// Embedded is the server inside the plugin, and the way to say that the
// settings no longer want it.
type Embedded interface {
	connection.Embedded
	Retire()
}

// settings is the app's jsonData.
type settings struct {
	ServerURL     string `json:"serverUrl"`
	TenantID      string `json:"tenantId"`
	BasicAuthUser string `json:"basicAuthUser"`
}

// App answers for the app plugin.
type App struct {
	backend.CallResourceHandler
	conn *connection.Connection
}

var (
	_ backend.CallResourceHandler   = (*App)(nil)
	_ backend.CheckHealthHandler    = (*App)(nil)
	_ instancemgmt.InstanceDisposer = (*App)(nil)
)

// New returns the App for the given settings.
func New(ctx context.Context, s backend.AppInstanceSettings, emb Embedded) (*App, error) {
	if len(s.JSONData) == 0 {
		s.JSONData = nil // the SDK parses an empty text, and fails
	}
	cfg, err := config(s)
	if err != nil {
		return nil, err
	}
	opts, err := s.HTTPClientOptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("app settings: HTTP options: %w", err)
	}
	opts.BasicAuth = nil // sent by the upstream client, to the configured server only
	client, err := httpclient.New(opts)
	if err != nil {
		return nil, fmt.Errorf("app settings: HTTP client: %w", err)
	}
	conn, err := connection.New(cfg, client, emb)
	if err != nil {
		return nil, err
	}
	if cfg.URL != "" {
		emb.Retire()
	}
	return &App{CallResourceHandler: httpadapter.New(resources.ForApp(conn)), conn: conn}, nil
}

func config(s backend.AppInstanceSettings) (upstream.Config, error) {
	var j settings
	if s.JSONData != nil {
		if err := json.Unmarshal(s.JSONData, &j); err != nil {
			return upstream.Config{}, fmt.Errorf("app settings: jsonData: %w", err)
		}
	}
	return upstream.Config{
		URL:           j.ServerURL,
		Token:         s.DecryptedSecureJSONData["token"],
		BasicUser:     j.BasicAuthUser,
		BasicPassword: s.DecryptedSecureJSONData["basicAuthPassword"],
		TenantID:      j.TenantID,
	}, nil
}

// CheckHealth says whether the server in use can be asked.
func (a *App) CheckHealth(ctx context.Context, _ *backend.CheckHealthRequest) (*backend.CheckHealthResult, error) {
	return connection.Health(ctx, a.conn), nil
}

// Dispose ends the instance. It owns nothing that would need closing.
func (a *App) Dispose() {}
