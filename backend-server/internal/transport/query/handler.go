// Package query is the reading edge: it serves querier.v1.QuerierService, the
// API that Grafana and profilecli speak, over connect, gRPC and gRPC-Web, the
// older /pyroscope/render endpoints, and in their manner /pyroscope/functions.
//
// It translates and nothing else: a message becomes a plain question
// (profile/request), a Frontend checks and answers it, the answer becomes a
// message again. What a newer client may ask for that is not served is ignored
// where the answer stays true without it (exemplars, asynchronous execution),
// and refused as unimplemented where it would not.
package query

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	"github.com/prometheus/prometheus/model/labels"

	dbquery "github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flamegraph"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// Frontend checks and answers questions for the tenant of the context.
type Frontend interface {
	Profiles
	Labels
	Catalogue
}

// Profiles answers questions about samples.
type Profiles interface {
	Tree(ctx context.Context, req request.Profile) (*tree.Tree, error)
	Functions(ctx context.Context, req request.Functions) (*dbquery.TopFunctions, error)
	Diff(ctx context.Context, left, right request.Profile) (*flamegraph.DiffGraph, error)
	Profile(ctx context.Context, req request.Profile) (*profile.Profile, error)
	Series(ctx context.Context, req request.Series) ([]series.Series, error)
}

// Labels answers questions about labels.
type Labels interface {
	LabelNames(ctx context.Context, req request.Labels) ([]string, error)
	LabelValues(ctx context.Context, name string, req request.Labels) ([]string, error)
	LabelSets(ctx context.Context, names []string, req request.Labels) ([]labels.Labels, error)
}

// Catalogue answers questions about what there is.
type Catalogue interface {
	ProfileTypes(ctx context.Context, req request.Labels) ([]profile.Type, error)
	DataStats(ctx context.Context) (dbquery.Stats, error)
	Analyze(ctx context.Context, text string, req request.Labels) (dbquery.Impact, error)
}

// SaturatedHeader is set in answers in which a sum reached the largest 64-bit
// number and was held there.
const SaturatedHeader = "Hearth-Saturated"

// Handler serves the read API. It is safe for concurrent use.
type Handler struct {
	// Methods that are not served answer that they are not.
	querierv1connect.UnimplementedQuerierServiceHandler

	frontend Frontend
	logger   *slog.Logger
	now      func() time.Time
}

var _ querierv1connect.QuerierServiceHandler = (*Handler)(nil)

// New returns a Handler that asks f. The clock is for relative times in the
// older endpoints.
func New(f Frontend, logger *slog.Logger, now func() time.Time) *Handler {
	return &Handler{frontend: f, logger: logger, now: now}
}

// Routes returns what the handler serves, by ServeMux pattern. The routes
// expect a tenant in the request's context.
func (h *Handler) Routes() map[string]http.Handler {
	path, rpc := querierv1connect.NewQuerierServiceHandler(h, wire.HandlerOptions(h.logger)...)
	return map[string]http.Handler{
		path:                          rpc,
		"GET /pyroscope/render":       h.legacy(h.render),
		"GET /pyroscope/functions":    h.legacy(h.functions),
		"GET /pyroscope/render-diff":  h.legacy(h.renderDiff),
		"GET /pyroscope/label-values": h.legacy(h.labelValues),
		"GET /pyroscope/labels":       h.legacy(h.labelNames),
	}
}

// answer wraps a message and says when its sums were held.
func answer[T any](msg *T, saturated bool) *connect.Response[T] {
	res := connect.NewResponse(msg)
	if saturated {
		res.Header().Set(SaturatedHeader, "true")
	}
	return res
}
