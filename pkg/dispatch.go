package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/app"
	sdkdatasource "github.com/grafana/grafana-plugin-sdk-go/backend/datasource"
	"github.com/grafana/grafana-plugin-sdk-go/backend/instancemgmt"

	"github.com/hearth-profiles/hearth/pkg/datasource"
	"github.com/hearth-profiles/hearth/pkg/plugin"
)

// dispatcher sends each request to the instance that it is meant for.
type dispatcher struct {
	apps, sources instancemgmt.InstanceManager
}

var (
	_ backend.QueryDataHandler    = (*dispatcher)(nil)
	_ backend.CallResourceHandler = (*dispatcher)(nil)
	_ backend.CheckHealthHandler  = (*dispatcher)(nil)
)

func newDispatcher(emb plugin.Embedded) *dispatcher {
	return &dispatcher{
		apps: app.NewInstanceManager(func(ctx context.Context, s backend.AppInstanceSettings) (instancemgmt.Instance, error) {
			return plugin.New(ctx, s, emb)
		}),
		sources: sdkdatasource.NewInstanceManager(func(ctx context.Context, s backend.DataSourceInstanceSettings) (instancemgmt.Instance, error) {
			return datasource.New(ctx, s, emb)
		}),
	}
}

func (d *dispatcher) instance(ctx context.Context, pc backend.PluginContext) (instancemgmt.Instance, error) {
	if pc.DataSourceInstanceSettings != nil {
		return d.sources.Get(ctx, pc)
	}
	return d.apps.Get(ctx, pc)
}

// QueryData answers a panel's queries.
func (d *dispatcher) QueryData(ctx context.Context, req *backend.QueryDataRequest) (*backend.QueryDataResponse, error) {
	instance, err := d.instance(ctx, req.PluginContext)
	if err != nil {
		return nil, err
	}
	handler, ok := instance.(backend.QueryDataHandler)
	if !ok {
		return nil, backend.PluginErrorf("the app answers no queries: ask its data source")
	}
	return handler.QueryData(ctx, req)
}

// CallResource answers a call of a page or an editor. Settings that cannot be
// used are an answer too, so that the page can show what is wrong with them.
func (d *dispatcher) CallResource(ctx context.Context, req *backend.CallResourceRequest, sender backend.CallResourceResponseSender) error {
	instance, err := d.instance(ctx, req.PluginContext)
	if err != nil {
		return sender.Send(settingsError(err))
	}
	return instance.(backend.CallResourceHandler).CallResource(ctx, req, sender)
}

// CheckHealth answers "Save & test".
func (d *dispatcher) CheckHealth(ctx context.Context, req *backend.CheckHealthRequest) (*backend.CheckHealthResult, error) {
	instance, err := d.instance(ctx, req.PluginContext)
	if err != nil {
		return &backend.CheckHealthResult{Status: backend.HealthStatusError, Message: err.Error()}, nil
	}
	return instance.(backend.CheckHealthHandler).CheckHealth(ctx, req)
}

// settingsError is the answer to a call when an instance cannot be made.
func settingsError(err error) *backend.CallResourceResponse {
	body, _ := json.Marshal(map[string]string{"message": err.Error(), "code": "failed_precondition"}) // strings always encode
	return &backend.CallResourceResponse{
		Status:  http.StatusBadRequest,
		Headers: map[string][]string{"Content-Type": {"application/json"}},
		Body:    body,
	}
}
