package connection_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/connection"
	"github.com/hearth-profiles/hearth/pkg/embedded"
	"github.com/hearth-profiles/hearth/pkg/upstream"
	"github.com/hearth-profiles/hearth/pkg/upstream/upstreamtest"
)

// fakeEmbedded is an embedded server at an address, or none with a reason.
type fakeEmbedded struct {
	started bool
	url     string
}

func (f *fakeEmbedded) Start() { f.started = true }

func (f *fakeEmbedded) URL(context.Context) (string, error) {
	if f.url == "" {
		return "", errors.New("the disk is full")
	}
	return f.url, nil
}

func (f *fakeEmbedded) Status() embedded.Status {
	return embedded.Status{Mode: embedded.ModePeer, URL: f.url, Ready: f.url != "", Message: "what the supervisor says"}
}

func dial(t *testing.T, cfg upstream.Config, emb connection.Embedded) *connection.Connection {
	t.Helper()
	c, err := connection.New(cfg, http.DefaultClient, emb)
	require.NoError(t, err)
	return c
}

func TestServerOfTheSettings(t *testing.T) {
	s, emb := upstreamtest.New(t), &fakeEmbedded{}
	c := dial(t, upstream.Config{URL: s.URL, Token: "abc"}, emb)
	require.False(t, emb.started, "an embedded server nobody asked for")
	require.Equal(t, connection.Status{Mode: "remote", URL: s.URL, Ready: true, Message: "using the server of the settings", Version: "1.2.3"}, c.Status(t.Context()))

	health := connection.Health(t.Context(), c)
	require.Equal(t, backend.HealthStatusOk, health.Status, health.Message)
	require.Contains(t, string(health.JSONDetails), `"mode":"remote"`)
	require.Equal(t, "Bearer abc", s.Header().Get("Authorization"))

	s.Fail = connect.NewError(connect.CodeUnavailable, errors.New("no ingester"))
	health = connection.Health(t.Context(), c)
	require.Equal(t, backend.HealthStatusError, health.Status)
	require.Equal(t, "the server is ready but a query failed: no ingester", health.Message)

	s.NotReady = true
	health = connection.Health(t.Context(), c)
	require.Equal(t, backend.HealthStatusError, health.Status)
	require.Contains(t, health.Message, "not ready")

	_, err := connection.New(upstream.Config{URL: "nonsense"}, http.DefaultClient, emb)
	require.ErrorContains(t, err, "server settings")
}

func TestEmbeddedServer(t *testing.T) {
	first, second, emb := upstreamtest.New(t), upstreamtest.New(t), &fakeEmbedded{}
	c := dial(t, upstream.Config{Token: "for another server"}, emb)
	require.True(t, emb.started)

	_, err := c.Client(t.Context())
	require.ErrorContains(t, err, "the embedded server is not ready: the disk is full")
	require.Equal(t, http.StatusServiceUnavailable, upstream.AsError(err).Status)
	require.Equal(t, connection.Status{Mode: "embedded-peer", Message: "what the supervisor says"}, c.Status(t.Context()))
	require.Equal(t, backend.HealthStatusError, connection.Health(t.Context(), c).Status)

	for _, s := range []*upstreamtest.Server{first, second} { // it moves when another process takes over
		emb.url = s.URL
		client, err := c.Client(t.Context())
		require.NoError(t, err)
		require.Equal(t, s.URL, client.URL())
		require.Equal(t, connection.Status{Mode: "embedded-peer", URL: s.URL, Ready: true, Message: "what the supervisor says", Version: "1.2.3"}, c.Status(t.Context()))
		require.Empty(t, s.Header().Get("Authorization"), "credentials stay with the server of the settings")
	}
}
