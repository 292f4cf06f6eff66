package plugin_test

import (
	"context"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/embedded"
	"github.com/hearth-profiles/hearth/pkg/plugin"
	"github.com/hearth-profiles/hearth/pkg/upstream/upstreamtest"
)

type fakeEmbedded struct {
	url              string
	started, retired bool
}

func (f *fakeEmbedded) Start()                              { f.started = true }
func (f *fakeEmbedded) Retire()                             { f.retired = true }
func (f *fakeEmbedded) URL(context.Context) (string, error) { return f.url, nil }
func (f *fakeEmbedded) Status() embedded.Status {
	return embedded.Status{Mode: embedded.ModeHere, URL: f.url, Ready: true, Message: "in this process"}
}

func open(t *testing.T, s backend.AppInstanceSettings, emb *fakeEmbedded) *plugin.App {
	t.Helper()
	a, err := plugin.New(t.Context(), s, emb)
	require.NoError(t, err)
	return a
}

func call(t *testing.T, a *plugin.App, url string) *backend.CallResourceResponse {
	t.Helper()
	var got *backend.CallResourceResponse
	send := backend.CallResourceResponseSenderFunc(func(r *backend.CallResourceResponse) error { got = r; return nil })
	require.NoError(t, a.CallResource(t.Context(), &backend.CallResourceRequest{Path: url, URL: url, Method: "GET"}, send))
	return got
}

func TestServerOfTheSettings(t *testing.T) {
	s, emb := upstreamtest.New(t), &fakeEmbedded{}
	a := open(t, backend.AppInstanceSettings{
		JSONData:                []byte(`{"serverUrl":"` + s.URL + `","tenantId":"team-a","basicAuthUser":"u"}`),
		DecryptedSecureJSONData: map[string]string{"basicAuthPassword": "p"},
	}, emb)
	require.False(t, emb.started)
	require.True(t, emb.retired, "the next process must not start a server that is not wanted")

	res, err := a.CheckHealth(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, backend.HealthStatusOk, res.Status, res.Message)
	require.Equal(t, "Basic dTpw", s.Header().Get("Authorization"))
	require.Equal(t, "team-a", s.Header().Get("X-Scope-OrgID"))
	require.JSONEq(t, `{"services":[]}`, string(call(t, a, "services").Body))
}

func TestNoServerInTheSettings(t *testing.T) {
	s := upstreamtest.New(t)
	for _, jsonData := range []string{``, `{}`, `{"serverUrl":""}`} {
		emb := &fakeEmbedded{url: s.URL}
		a := open(t, backend.AppInstanceSettings{JSONData: []byte(jsonData)}, emb)
		require.True(t, emb.started)
		require.False(t, emb.retired)
		require.JSONEq(t, `{"mode":"embedded","url":"`+s.URL+`","ready":true,"message":"in this process","version":"1.2.3"}`, string(call(t, a, "status").Body))
	}
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	for jsonData, want := range map[string]string{
		`{`:                          "jsonData",
		`{"serverUrl":"nonsense"}`:   "must look like http://host:4040",
		`{"serverUrl":"ftp://host"}`: "must look like http://host:4040",
	} {
		_, err := plugin.New(t.Context(), backend.AppInstanceSettings{JSONData: []byte(jsonData)}, &fakeEmbedded{})
		require.ErrorContains(t, err, want)
	}
}
