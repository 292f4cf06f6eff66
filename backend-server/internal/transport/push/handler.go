package push

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
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

var _ pushv1connect.PusherServiceHandler = (*Handler)(nil)

// New returns a handler that hands uploads to p.
func New(p Pusher, logger *slog.Logger) *Handler {
	return &Handler{pusher: p, logger: logger, now: time.Now, maxMessage: defaultMaxMessage}
}

// Routes returns the handlers by http.ServeMux pattern. They expect a tenant in
// the request's context, and a limit on its body.
func (h *Handler) Routes() map[string]http.Handler {
	path, rpc := pushv1connect.NewPusherServiceHandler(h, append(wire.HandlerOptions(h.logger), withGzip(h.maxMessage), connect.WithCodec(requestCodec{}))...)
	ingest := http.HandlerFunc(h.ingest)
	return map[string]http.Handler{path: rpc, "POST /ingest": ingest, "POST /pyroscope/ingest": ingest}
}

// Push stores the profiles of one RPC.
func (h *Handler) Push(ctx context.Context, req *connect.Request[pushv1.PushRequest]) (*connect.Response[pushv1.PushResponse], error) {
	result, err := h.pusher.Push(ctx, toSeries(req.Msg))
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return nil, withRetryAfter(err)
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

func toSeries(req *pushv1.PushRequest) []upload.Series {
	out := make([]upload.Series, len(req.GetSeries()))
	for i, s := range req.GetSeries() {
		out[i].Labels = wire.ToPairs(s.GetLabels())
		out[i].Profiles = make([]upload.Profile, len(s.GetSamples()))
		for j, p := range s.GetSamples() {
			out[i].Profiles[j] = upload.Profile{Data: p.GetRawProfile(), ID: p.GetID()}
		}
	}
	return out
}

// withRetryAfter turns err into an RPC error that tells when to try again, if
// that is known.
func withRetryAfter(err error) error {
	rpc := connect.NewError(wire.Code(err), err)
	if seconds := retryAfter(err); seconds != "" {
		rpc.Meta().Set("Retry-After", seconds)
	}
	return rpc
}

// retryAfter returns the value of the header, or "".
func retryAfter(err error) string {
	var hint *upload.RetryError
	if !errors.As(err, &hint) {
		return ""
	}
	return strconv.Itoa(max(1, int(math.Ceil(hint.After.Seconds()))))
}
