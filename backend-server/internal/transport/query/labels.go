package query

import (
	"context"
	"slices"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// ProfileTypes lists the profile types.
func (h *Handler) ProfileTypes(ctx context.Context, req *connect.Request[querierv1.ProfileTypesRequest]) (*connect.Response[querierv1.ProfileTypesResponse], error) {
	types, err := h.frontend.ProfileTypes(ctx, labelQuestion(nil, req.Msg.Start, req.Msg.End))
	if err != nil {
		return nil, err
	}
	out := &querierv1.ProfileTypesResponse{}
	for _, t := range types {
		out.ProfileTypes = append(out.ProfileTypes, &typesv1.ProfileType{
			ID:         wire.Text(t.String()),
			Name:       wire.Text(t.Name),
			SampleType: wire.Text(t.SampleType),
			SampleUnit: wire.Text(t.SampleUnit),
			PeriodType: wire.Text(t.PeriodType),
			PeriodUnit: wire.Text(t.PeriodUnit),
		})
	}
	return connect.NewResponse(out), nil
}

// LabelNames lists label names; those that hold more than letters, digits and
// underscores only for clients that say they understand them.
func (h *Handler) LabelNames(ctx context.Context, req *connect.Request[typesv1.LabelNamesRequest]) (*connect.Response[typesv1.LabelNamesResponse], error) {
	names, err := h.frontend.LabelNames(ctx, labelQuestion(req.Msg.Matchers, req.Msg.Start, req.Msg.End))
	if err != nil {
		return nil, err
	}
	if !wire.AcceptsUTF8Labels(req.Header().Values("Accept")) {
		names = slices.DeleteFunc(names, func(name string) bool { return !wire.PlainName(name) })
	}
	return connect.NewResponse(&typesv1.LabelNamesResponse{Names: wire.Texts(names)}), nil
}

// LabelValues lists the values of one label.
func (h *Handler) LabelValues(ctx context.Context, req *connect.Request[typesv1.LabelValuesRequest]) (*connect.Response[typesv1.LabelValuesResponse], error) {
	values, err := h.frontend.LabelValues(ctx, req.Msg.Name, labelQuestion(req.Msg.Matchers, req.Msg.Start, req.Msg.End))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&typesv1.LabelValuesResponse{Names: wire.Texts(values)}), nil
}

// Series lists distinct label sets. A client that names labels gets them as
// named; to one that does not, LabelNames' rule applies.
func (h *Handler) Series(ctx context.Context, req *connect.Request[querierv1.SeriesRequest]) (*connect.Response[querierv1.SeriesResponse], error) {
	sets, err := h.frontend.LabelSets(ctx, req.Msg.LabelNames, labelQuestion(req.Msg.Matchers, req.Msg.Start, req.Msg.End))
	if err != nil {
		return nil, err
	}
	if len(req.Msg.LabelNames) == 0 && !wire.AcceptsUTF8Labels(req.Header().Values("Accept")) {
		sets = plainSets(sets)
	}
	out := &querierv1.SeriesResponse{LabelsSet: make([]*typesv1.Labels, len(sets))}
	for i, ls := range sets {
		out.LabelsSet[i] = &typesv1.Labels{Labels: wire.FromLabels(ls)}
	}
	return connect.NewResponse(out), nil
}

// plainSets takes labels without a plain name out of sorted label sets; sets
// that become equal are one.
func plainSets(sets []labels.Labels) []labels.Labels {
	changed := false
	b := labels.NewScratchBuilder(0)
	for i, ls := range sets {
		b.Reset()
		ls.Range(func(l labels.Label) {
			if wire.PlainName(l.Name) {
				b.Add(l.Name, l.Value)
			}
		})
		if plain := b.Labels(); plain.Len() < ls.Len() {
			sets[i], changed = plain, true
		}
	}
	if !changed {
		return sets
	}
	slices.SortFunc(sets, labels.Compare)
	return slices.CompactFunc(sets, labels.Equal)
}

// GetProfileStats tells whether there is any data, and from when to when.
func (h *Handler) GetProfileStats(ctx context.Context, _ *connect.Request[typesv1.GetProfileStatsRequest]) (*connect.Response[typesv1.GetProfileStatsResponse], error) {
	s, err := h.frontend.DataStats(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&typesv1.GetProfileStatsResponse{
		DataIngested:      s.Ingested,
		OldestProfileTime: int64(s.Oldest),
		NewestProfileTime: int64(s.Newest),
	}), nil
}

// AnalyzeQuery tells how much a query would read.
func (h *Handler) AnalyzeQuery(ctx context.Context, req *connect.Request[querierv1.AnalyzeQueryRequest]) (*connect.Response[querierv1.AnalyzeQueryResponse], error) {
	impact, err := h.frontend.Analyze(ctx, req.Msg.Query, labelQuestion(nil, req.Msg.Start, req.Msg.End))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&querierv1.AnalyzeQueryResponse{
		QueryScopes: []*querierv1.QueryScope{{
			ComponentType:  "All storage",
			ComponentCount: 1,
			SeriesCount:    impact.Series,
			ProfileCount:   impact.Profiles,
			SampleCount:    impact.Samples,
			ProfileBytes:   impact.Bytes,
		}},
		QueryImpact: &querierv1.QueryImpact{
			TotalBytesInTimeRange: impact.Bytes,
			TotalQueriedSeries:    impact.Series,
		},
	}), nil
}

func labelQuestion(matchers []string, start, end int64) request.Labels {
	return request.Labels{Matchers: matchers, Start: profile.UnixMilli(start), End: profile.UnixMilli(end)}
}
