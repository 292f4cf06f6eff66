// Package datasource is the data source's side of the backend: queries,
// health, and the resources that its editors call.
//
//	datasource.go  one instance: settings, health, resources
//	query.go       the query model and QueryData
//
// Invariants:
//   - each query of a request answers or fails alone, with its own status;
//   - queries of one request run side by side, never more than maxParallel.
package datasource

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

// settings is the data source's jsonData.
type settings struct {
	URL           string `json:"url"`
	TenantID      string `json:"tenantId"`
	BasicAuthUser string `json:"basicAuthUser"`
}

// DataSource answers for one configured data source.
type DataSource struct {
	backend.CallResourceHandler
	conn *connection.Connection
}

var (
	_ backend.QueryDataHandler      = (*DataSource)(nil)
	_ backend.CallResourceHandler   = (*DataSource)(nil)
	_ backend.CheckHealthHandler    = (*DataSource)(nil)
	_ instancemgmt.InstanceDisposer = (*DataSource)(nil)
)

// New returns the data source for the given settings.
func New(ctx context.Context, s backend.DataSourceInstanceSettings, emb connection.Embedded) (*DataSource, error) {
	if len(s.JSONData) == 0 {
		s.JSONData = nil // the SDK parses an empty text, and fails
	}
	cfg, err := config(s)
	if err != nil {
		return nil, err
	}
	opts, err := s.HTTPClientOptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("data source settings: HTTP options: %w", err)
	}
	opts.BasicAuth = nil // sent by the upstream client, to the configured server only
	client, err := httpclient.New(opts)
	if err != nil {
		return nil, fmt.Errorf("data source settings: HTTP client: %w", err)
	}
	conn, err := connection.New(cfg, client, emb)
	if err != nil {
		return nil, err
	}
	return &DataSource{CallResourceHandler: httpadapter.New(resources.ForDataSource(conn)), conn: conn}, nil
}

// config reads the settings. Grafana's own fields for a URL and basic auth,
// which provisioning files often use, stand in for those of jsonData.
func config(s backend.DataSourceInstanceSettings) (upstream.Config, error) {
	var j settings
	if s.JSONData != nil {
		if err := json.Unmarshal(s.JSONData, &j); err != nil {
			return upstream.Config{}, fmt.Errorf("data source settings: jsonData: %w", err)
		}
	}
	if j.URL == "" {
		j.URL = s.URL
	}
	if j.BasicAuthUser == "" && s.BasicAuthEnabled {
		j.BasicAuthUser = s.BasicAuthUser
	}
	return upstream.Config{
		URL:           j.URL,
		Token:         s.DecryptedSecureJSONData["token"],
		BasicUser:     j.BasicAuthUser,
		BasicPassword: s.DecryptedSecureJSONData["basicAuthPassword"],
		TenantID:      j.TenantID,
	}, nil
}

// CheckHealth says whether the server in use can be asked.
func (d *DataSource) CheckHealth(ctx context.Context, _ *backend.CheckHealthRequest) (*backend.CheckHealthResult, error) {
	return connection.Health(ctx, d.conn), nil
}

// Dispose ends the instance. It owns nothing that would need closing.
func (d *DataSource) Dispose() {}
