package app

import (
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALoneServerSaysWhatADeletionWouldDo(t *testing.T) {
	a, _ := start(t, testConfig(t))
	end := time.Now().UTC()
	params := url.Values{
		"query": {`{service_name="shop"}`}, "dry_run": {"true"},
		"start": {end.Add(-time.Hour).Format(time.RFC3339)}, "end": {end.Add(-time.Minute).Format(time.RFC3339)},
	}
	status, body := request(t, a, "POST", "/hearth/v1/deletions?"+params.Encode(), "{}")
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"dry_run":true`)
}

func TestRolesThatAskDistantQuerySchedulers(t *testing.T) {
	cfg := testConfig(t)
	cfg.Target.Values = []string{QueryFrontend, Compactor}
	cfg.Cluster.Gossip.Join.Values = []string{"127.0.0.1:1"}
	cfg.Cluster.Gossip.BindAddr, cfg.Cluster.Gossip.BindPort, cfg.RPC.Address, cfg.RPC.Port = "127.0.0.1", 0, "127.0.0.1", 0
	cfg.Storage.Dir = t.TempDir()
	a, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, a.Close())
}
