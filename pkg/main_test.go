package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/embedded"
	"github.com/hearth-profiles/hearth/pkg/upstream/upstreamtest"
)

type noEmbedded struct{}

func (noEmbedded) Start()                              {}
func (noEmbedded) Retire()                             {}
func (noEmbedded) URL(context.Context) (string, error) { return "", context.DeadlineExceeded }
func (noEmbedded) Status() embedded.Status             { return embedded.Status{Mode: embedded.ModeHere} }

func appContext(jsonData string) backend.PluginContext {
	return backend.PluginContext{PluginID: pluginID, AppInstanceSettings: &backend.AppInstanceSettings{JSONData: []byte(jsonData)}}
}

func sourceContext(jsonData string) backend.PluginContext {
	return backend.PluginContext{
		PluginID:                   "hearth-profiles-datasource",
		DataSourceInstanceSettings: &backend.DataSourceInstanceSettings{ID: 1, UID: "hearth", JSONData: []byte(jsonData)},
	}
}

func call(t *testing.T, d *dispatcher, pc backend.PluginContext, path string) (int, string) {
	t.Helper()
	var got *backend.CallResourceResponse
	send := backend.CallResourceResponseSenderFunc(func(r *backend.CallResourceResponse) error { got = r; return nil })
	require.NoError(t, d.CallResource(t.Context(), &backend.CallResourceRequest{PluginContext: pc, Path: path, URL: path, Method: "GET"}, send))
	return got.Status, string(got.Body)
}

func TestRequestsGoToAppOrDataSource(t *testing.T) {
	s := upstreamtest.New(t)
	d := newDispatcher(noEmbedded{})
	app, source := appContext(`{"serverUrl":"`+s.URL+`"}`), sourceContext(`{"url":"`+s.URL+`"}`)

	status, body := call(t, d, app, "services")
	require.Equal(t, 200, status, body)
	status, _ = call(t, d, source, "services")
	require.Equal(t, 404, status, "a route of the app")
	status, _ = call(t, d, source, "profileTypes")
	require.Equal(t, 200, status)

	for _, pc := range []backend.PluginContext{app, source} {
		health, err := d.CheckHealth(t.Context(), &backend.CheckHealthRequest{PluginContext: pc})
		require.NoError(t, err)
		require.Equal(t, backend.HealthStatusOk, health.Status, health.Message)
	}
	queries := []backend.DataQuery{{RefID: "A", JSON: []byte(`{"profileTypeId":"a:b:c:d:e","queryType":"series"}`)}}
	res, err := d.QueryData(t.Context(), &backend.QueryDataRequest{PluginContext: source, Queries: queries})
	require.NoError(t, err)
	require.NoError(t, res.Responses["A"].Error)
	_, err = d.QueryData(t.Context(), &backend.QueryDataRequest{PluginContext: app, Queries: queries})
	require.ErrorContains(t, err, "ask its data source")
}

func TestBadSettingsAreAnswered(t *testing.T) {
	d := newDispatcher(noEmbedded{})
	for _, pc := range []backend.PluginContext{appContext(`{"serverUrl":"nonsense"}`), sourceContext(`{"url":"nonsense"}`)} {
		status, body := call(t, d, pc, "status")
		require.Equal(t, 400, status)
		require.Contains(t, body, `must look like http://host:4040`)
		health, err := d.CheckHealth(t.Context(), &backend.CheckHealthRequest{PluginContext: pc})
		require.NoError(t, err)
		require.Equal(t, backend.HealthStatusError, health.Status)
		require.Contains(t, health.Message, "must look like")
	}
	_, err := d.QueryData(t.Context(), &backend.QueryDataRequest{PluginContext: sourceContext(`{"url":"nonsense"}`)})
	require.ErrorContains(t, err, "must look like")
}

func TestLogLinesAreGrafanas(t *testing.T) {
	var out bytes.Buffer
	logger := pluginLogger(&out)
	logger.Debug("not wanted")
	logger.Warn("disk is full", "dir", "/data")
	var line map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "warn", line["@level"])
	require.Equal(t, "disk is full", line["@message"])
	require.Equal(t, "/data", line["dir"])
	_, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", line["@timestamp"])
	require.NoError(t, err)
}

func TestEndsWithTheProcessThatStartedIt(t *testing.T) {
	calls := 0
	getppid := func() int {
		calls++
		if calls < 4 {
			return 77
		}
		return 1 // adopted by init
	}
	require.True(t, orphaned(t.Context(), getppid, time.Millisecond))
	require.Equal(t, 4, calls)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, orphaned(ctx, func() int { return 77 }, time.Hour))
}
