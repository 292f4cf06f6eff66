package query

import (
	"context"

	"connectrpc.com/connect"
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flamegraph"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// SelectMergeStacktraces answers with a flame graph, a tree or a pprof profile,
// whichever format is asked for; formats that are not known are flame graphs.
func (h *Handler) SelectMergeStacktraces(ctx context.Context, req *connect.Request[querierv1.SelectMergeStacktracesRequest]) (*connect.Response[querierv1.SelectMergeStacktracesResponse], error) {
	msg := req.Msg
	async, err := asyncAnswer(msg.Async)
	if err != nil {
		return nil, err
	}
	out := &querierv1.SelectMergeStacktracesResponse{Async: async}
	saturated := false
	switch msg.Format {
	case querierv1.ProfileFormat_PROFILE_FORMAT_DOT:
		return nil, fault.New(fault.Unimplemented, "format PROFILE_FORMAT_DOT is not served; ask for a flame graph, a tree or pprof")
	case querierv1.ProfileFormat_PROFILE_FORMAT_PPROF:
		p, err := h.frontend.Profile(ctx, stacktraces(msg))
		if err != nil {
			return nil, err
		}
		out.Pprof = &querierv1.PprofProfile{Profile: toGoogle(p)}
	default:
		t, err := h.frontend.Tree(ctx, stacktraces(msg))
		if err != nil {
			return nil, err
		}
		out.Flamegraph, out.Tree, saturated, err = render(t, msg.Format)
		if err != nil {
			return nil, err
		}
	}
	return answer(out, saturated), nil
}

// asyncAnswer says that an answer that was wanted later is ready at once.
func asyncAnswer(req *querierv1.AsyncQueryRequest) (*querierv1.AsyncQueryResponse, error) {
	if id := req.GetRequestId(); id != "" {
		return nil, fault.New(fault.NotFound, "there is no asynchronous query %q: every query is answered at once", id)
	}
	if req.GetType() != querierv1.AsyncQueryType_ASYNC_QUERY_TYPE_FORCE {
		return nil, nil
	}
	return &querierv1.AsyncQueryResponse{Status: querierv1.AsyncQueryStatus_ASYNC_QUERY_STATUS_SUCCESS}, nil
}

func render(t *tree.Tree, format querierv1.ProfileFormat) (*querierv1.FlameGraph, []byte, bool, error) {
	if format == querierv1.ProfileFormat_PROFILE_FORMAT_TREE {
		b, err := t.AppendBinary(nil)
		return nil, b, t.Saturated, err
	}
	g := flamegraph.FromTree(t)
	return toFlameGraph(g), nil, g.Saturated, nil
}

// SelectMergeSpanProfile answers with the flame graph or tree of some spans.
func (h *Handler) SelectMergeSpanProfile(ctx context.Context, req *connect.Request[querierv1.SelectMergeSpanProfileRequest]) (*connect.Response[querierv1.SelectMergeSpanProfileResponse], error) {
	msg := req.Msg
	if len(msg.SpanSelector) == 0 {
		return nil, fault.New(fault.Invalid, "span_selector is missing; name at least one span")
	}
	t, err := h.frontend.Tree(ctx, request.Profile{
		Type:     msg.ProfileTypeID,
		Selector: msg.LabelSelector,
		Start:    profile.UnixMilli(msg.Start),
		End:      profile.UnixMilli(msg.End),
		MaxNodes: msg.GetMaxNodes(),
		Spans:    msg.SpanSelector,
	})
	if err != nil {
		return nil, err
	}
	graph, bytes, saturated, err := render(t, msg.Format)
	if err != nil {
		return nil, err
	}
	return answer(&querierv1.SelectMergeSpanProfileResponse{Flamegraph: graph, Tree: bytes}, saturated), nil
}

// SelectMergeProfile answers with a pprof profile.
func (h *Handler) SelectMergeProfile(ctx context.Context, req *connect.Request[querierv1.SelectMergeProfileRequest]) (*connect.Response[googlev1.Profile], error) {
	msg := req.Msg
	question := request.Profile{
		Type:     msg.ProfileTypeID,
		Selector: msg.LabelSelector,
		Start:    profile.UnixMilli(msg.Start),
		End:      profile.UnixMilli(msg.End),
		Profiles: msg.ProfileIdSelector,
		Traces:   msg.TraceIdSelector,
	}
	selectStacks(&question, msg.StackTraceSelector)
	p, err := h.frontend.Profile(ctx, question)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(toGoogle(p)), nil
}

// SelectSeries answers with time series.
func (h *Handler) SelectSeries(ctx context.Context, req *connect.Request[querierv1.SelectSeriesRequest]) (*connect.Response[querierv1.SelectSeriesResponse], error) {
	msg := req.Msg
	question := request.Series{
		Profile: request.Profile{
			Type:     msg.ProfileTypeID,
			Selector: msg.LabelSelector,
			Start:    profile.UnixMilli(msg.Start),
			End:      profile.UnixMilli(msg.End),
		},
		GroupBy:     msg.GroupBy,
		StepSeconds: msg.Step,
		Average:     msg.GetAggregation() == typesv1.TimeSeriesAggregationType_TIME_SERIES_AGGREGATION_TYPE_AVERAGE,
		Limit:       msg.GetLimit(),
	}
	selectStacks(&question.Profile, msg.StackTraceSelector)
	got, err := h.frontend.Series(ctx, question)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&querierv1.SelectSeriesResponse{Series: toSeries(got)}), nil
}

// Diff answers with the flame graph of a difference.
func (h *Handler) Diff(ctx context.Context, req *connect.Request[querierv1.DiffRequest]) (*connect.Response[querierv1.DiffResponse], error) {
	if req.Msg.Left == nil || req.Msg.Right == nil {
		return nil, fault.New(fault.Invalid, "left or right is missing; a difference has two sides")
	}
	g, err := h.frontend.Diff(ctx, stacktraces(req.Msg.Left), stacktraces(req.Msg.Right))
	if err != nil {
		return nil, err
	}
	return answer(&querierv1.DiffResponse{Flamegraph: toFlameGraphDiff(g)}, g.Saturated), nil
}

func stacktraces(msg *querierv1.SelectMergeStacktracesRequest) request.Profile {
	out := request.Profile{
		Type:     msg.ProfileTypeID,
		Selector: msg.LabelSelector,
		Start:    profile.UnixMilli(msg.Start),
		End:      profile.UnixMilli(msg.End),
		MaxNodes: msg.GetMaxNodes(),
		Spans:    msg.SpanSelector,
		Profiles: msg.ProfileIdSelector,
		Traces:   msg.TraceIdSelector,
	}
	selectStacks(&out, msg.StackTraceSelector)
	return out
}

// selectStacks takes over which stacks are wanted.
func selectStacks(out *request.Profile, msg *typesv1.StackTraceSelector) {
	for _, l := range msg.GetCallSite() {
		out.CallSite = append(out.CallSite, l.GetName())
	}
	if p := msg.GetGoPgo(); p != nil {
		out.PGO = &request.PGO{KeepLocations: p.KeepLocations, AggregateCallees: p.AggregateCallees}
	}
}
