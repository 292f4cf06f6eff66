package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServer(t *testing.T) {
	cfg, err := ParseFlags([]string{"-server.http-listen-address=127.0.0.1", "-server.http-listen-port=0", "-db.data-path=" + t.TempDir(), "-self-profiling.enabled=false"})
	require.NoError(t, err)
	var log bytes.Buffer
	cfg.LogOutput = &log
	s, err := New(cfg)
	require.NoError(t, err)
	_, err = New(cfg)
	require.ErrorIs(t, err, ErrLocked)

	early, cancelEarly := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelEarly()
	require.ErrorContains(t, s.Ready(early), "store-gateway", "nothing runs yet")

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	require.NoError(t, s.Ready(t.Context()))
	res, err := http.Get("http://" + s.Addr() + "/ready")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, s.Close(), "closing what has ended is no error")
	require.Contains(t, log.String(), "Hearth is up")

	again, err := New(cfg)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestDefaultConfigIsGood(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, cfg.Validate())
	cfg.Log.Level = "loud"
	_, err := New(cfg)
	require.ErrorContains(t, err, "loud")
}

func TestMainAnswers(t *testing.T) {
	for _, c := range []struct {
		arg  string
		code int
		want string
	}{
		{"-modules", 0, "store-gateway"}, {"-version", 0, "hearth"}, {"-help", 0, "Usage"}, {"-config.check", 0, "good"}, {"-nonsense", 2, ""},
	} {
		var out bytes.Buffer
		require.Equal(t, c.code, Main(t.Context(), []string{c.arg}, &out, io.Discard), c.arg)
		require.Contains(t, out.String(), c.want)
	}
}
