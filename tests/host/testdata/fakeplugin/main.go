// A plugin backend that answers with what it was asked, so that the host's tests can see both sides of the protocol.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"
)

type fake struct{}

func main() {
	f := fake{}
	if err := backend.Manage("fake-app", backend.ServeOpts{
		CheckHealthHandler: f, CallResourceHandler: f, QueryDataHandler: f,
	}); err != nil {
		os.Exit(1)
	}
}

func (fake) CheckHealth(_ context.Context, req *backend.CheckHealthRequest) (*backend.CheckHealthResult, error) {
	if req.PluginContext.DataSourceInstanceSettings != nil {
		return &backend.CheckHealthResult{Status: backend.HealthStatusError, Message: "no server"}, nil
	}
	return &backend.CheckHealthResult{Status: backend.HealthStatusOk, Message: "fine", JSONDetails: []byte(`{"a":1}`)}, nil
}

func (fake) CallResource(_ context.Context, req *backend.CallResourceRequest, send backend.CallResourceResponseSender) error {
	if req.Path == "die" {
		os.Exit(3)
	}
	echo := map[string]any{
		"path": req.Path, "url": req.URL, "method": req.Method, "body": string(req.Body), "pid": os.Getpid(),
		"role": req.PluginContext.User.Role, "data": os.Getenv("GF_PATHS_DATA"), "plugin": req.PluginContext.PluginID,
	}
	if app := req.PluginContext.AppInstanceSettings; app != nil {
		echo["settings"], echo["secure"] = json.RawMessage(app.JSONData), app.DecryptedSecureJSONData
	}
	if ds := req.PluginContext.DataSourceInstanceSettings; ds != nil {
		echo["settings"], echo["serverUrl"] = json.RawMessage(ds.JSONData), ds.URL
	}
	raw, err := json.Marshal(echo)
	if err != nil {
		return err
	}
	headers := http.Header{"Content-Type": {"application/json"}, "X-Fake": {"yes"}}
	half := len(raw) / 2
	return errors.Join(
		send.Send(&backend.CallResourceResponse{Status: http.StatusAccepted, Headers: headers, Body: raw[:half]}),
		send.Send(&backend.CallResourceResponse{Status: http.StatusAccepted, Body: raw[half:]}),
	)
}

func (fake) QueryData(_ context.Context, req *backend.QueryDataRequest) (*backend.QueryDataResponse, error) {
	res := backend.NewQueryDataResponse()
	for _, q := range req.Queries {
		if q.QueryType == "bad" {
			res.Responses[q.RefID] = backend.ErrDataResponse(backend.StatusBadRequest, "bad query")
			continue
		}
		frame := data.NewFrame(q.QueryType,
			data.NewField("time", nil, []time.Time{q.TimeRange.From, q.TimeRange.To}),
			data.NewField("value", nil, []float64{1, 2}),
		)
		res.Responses[q.RefID] = backend.DataResponse{Frames: data.Frames{frame}}
	}
	return res, nil
}
