package push

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// Pusher stores uploads for the tenant of the context. The error is about the
// whole upload, the result about single profiles. It keeps nothing of series.
type Pusher interface {
	Push(ctx context.Context, series []upload.Series) (upload.Result, error)
}

// Handler serves the write API.
type Handler struct {
	pusher Pusher
	logger *slog.Logger
	now    func() time.Time
	// maxMessage is the largest RPC request after decompression, in bytes.
	maxMessage int64
}

// New returns a handler that hands uploads to p.
func New(p Pusher, logger *slog.Logger) *Handler {
	return &Handler{pusher: p, logger: logger, now: time.Now, maxMessage: defaultMaxMessage}
}

// Routes returns the handlers by http.ServeMux pattern. They expect a tenant in
// the request's context, and a limit on its body.
func (h *Handler) Routes() map[string]http.Handler {
	const path = pushv1connect.PusherServicePushProcedure
	rpc := connect.NewUnaryHandler(path, h.push, append(wire.HandlerOptions(h.logger), withGzip(h.maxMessage), connect.WithCodec(requestCodec{}))...)
	ingest := http.HandlerFunc(h.ingest)
	return map[string]http.Handler{path: rpc, "POST /ingest": ingest, "POST /pyroscope/ingest": ingest}
}

// push stores the profiles of one RPC.
func (h *Handler) push(ctx context.Context, req *connect.Request[request]) (*connect.Response[pushv1.PushResponse], error) {
	result, err := h.pusher.Push(ctx, req.Msg.upload())
	if err == nil {
		err = result.Err()
	}
	req.Msg.release()
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}
