package push

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

type noPusher struct{ t *testing.T }

func (p noPusher) Push(context.Context, []upload.Series) (upload.Result, error) {
	p.t.Error("a request over the limit was taken")
	return upload.Result{}, nil
}

// TestGzipBomb sends a small request that becomes a large one. The answer must
// not be one that makes a client send it again.
func TestGzipBomb(t *testing.T) {
	h := New(noPusher{t}, slog.New(slog.DiscardHandler))
	h.maxMessage = 100_000
	mux := http.NewServeMux()
	for pattern, route := range h.Routes() {
		mux.Handle(pattern, route)
	}
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, err := w.Write(make([]byte, 1_000_000))
	require.NoError(t, err)
	require.NoError(t, w.Close())

	req := httptest.NewRequest(http.MethodPost, pushv1connect.PusherServicePushProcedure, &bomb)
	req.Header.Set("Content-Type", "application/proto")
	req.Header.Set("Content-Encoding", "gzip")
	res := httptest.NewRecorder()
	mux.ServeHTTP(res, req)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, res.Code)
	require.Contains(t, string(body), "the decompressed request is over the limit of 100000 bytes")
}
