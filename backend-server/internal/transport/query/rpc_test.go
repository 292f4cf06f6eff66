package query_test

import (
	"context"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	google "github.com/google/pprof/profile"
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/query"
)

func levels(g interface{ GetLevels() []*querierv1.Level }) [][]int64 {
	var out [][]int64
	for _, l := range g.GetLevels() {
		out = append(out, l.Values)
	}
	return out
}

func TestFlameGraph(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		res, err := c.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
			ProfileTypeID: cpu, LabelSelector: `{a="1"}`, Start: 5, End: 6, MaxNodes: proto.Int64(7),
			StackTraceSelector: &typesv1.StackTraceSelector{CallSite: []*typesv1.Location{{Name: "main"}, {Name: "a"}}},
			ProfileIdSelector:  []string{"p"}, SpanSelector: []string{"s"}, TraceIdSelector: []string{"t"},
		}))
		require.NoError(t, err)
		require.Equal(t, request.Profile{
			Type: cpu, Selector: `{a="1"}`, Start: 5, End: 6, MaxNodes: 7,
			CallSite: []string{"main", "a"}, Profiles: []string{"p"}, Spans: []string{"s"}, Traces: []string{"t"},
		}, f.profile)
		g := res.Msg.Flamegraph
		require.Equal(t, []string{"total", "main", "a", "b\uFFFD", "c"}, g.Names)
		require.Equal(t, [][]int64{{0, 6, 0, 0}, {0, 6, 1, 1}, {1, 3, 3, 2, 0, 2, 0, 3}, {4, 2, 2, 4}}, levels(g))
		require.EqualValues(t, 6, g.Total)
		require.EqualValues(t, 3, g.MaxSelf)
		require.Nil(t, res.Msg.Async)
		require.Empty(t, res.Header().Get(query.SaturatedHeader))

		f.empty, f.saturated = true, true
		res, err = c.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{}))
		require.NoError(t, err)
		require.Equal(t, []string{"total"}, res.Msg.Flamegraph.Names)
		require.Equal(t, [][]int64{{0, 0, 0, 0}}, levels(res.Msg.Flamegraph))
		require.Equal(t, "true", res.Header().Get(query.SaturatedHeader))
	})
}

func TestFormats(t *testing.T) {
	f, s := serve(t)
	c := querierv1connect.NewQuerierServiceClient(s.Client(), s.URL)
	ask := func(format querierv1.ProfileFormat) (*querierv1.SelectMergeStacktracesResponse, error) {
		res, err := c.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
			Format: format, StackTraceSelector: &typesv1.StackTraceSelector{GoPgo: &typesv1.GoPGO{KeepLocations: 5, AggregateCallees: true}},
		}))
		if err != nil {
			return nil, err
		}
		return res.Msg, nil
	}
	got, err := ask(querierv1.ProfileFormat_PROFILE_FORMAT_TREE)
	require.NoError(t, err)
	require.Nil(t, got.Flamegraph)
	decoded, err := tree.Decode(got.Tree)
	require.NoError(t, err)
	require.EqualValues(t, 6, decoded.Total())

	got, err = ask(querierv1.ProfileFormat_PROFILE_FORMAT_PPROF)
	require.NoError(t, err)
	require.Len(t, got.Pprof.Profile.Sample, 2)
	require.Equal(t, &request.PGO{KeepLocations: 5, AggregateCallees: true}, f.profile.PGO)

	got, err = ask(77)
	require.NoError(t, err)
	require.NotNil(t, got.Flamegraph)

	_, err = ask(querierv1.ProfileFormat_PROFILE_FORMAT_DOT)
	require.Equal(t, connect.CodeUnimplemented, connect.CodeOf(err))
}

func TestAsync(t *testing.T) {
	_, s := serve(t)
	c := querierv1connect.NewQuerierServiceClient(s.Client(), s.URL)
	res, err := c.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		Async: &querierv1.AsyncQueryRequest{Type: querierv1.AsyncQueryType_ASYNC_QUERY_TYPE_FORCE},
	}))
	require.NoError(t, err)
	require.Equal(t, querierv1.AsyncQueryStatus_ASYNC_QUERY_STATUS_SUCCESS, res.Msg.Async.Status)
	require.NotNil(t, res.Msg.Flamegraph)
	_, err = c.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		Async: &querierv1.AsyncQueryRequest{RequestId: "r"},
	}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
}

func TestSpanProfile(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		msg := &querierv1.SelectMergeSpanProfileRequest{ProfileTypeID: cpu, SpanSelector: []string{"00000000000000ff"}, Start: 1, End: 2, MaxNodes: proto.Int64(3)}
		res, err := c.SelectMergeSpanProfile(t.Context(), connect.NewRequest(msg))
		require.NoError(t, err)
		require.EqualValues(t, 6, res.Msg.Flamegraph.Total)
		require.Equal(t, request.Profile{Type: cpu, Start: 1, End: 2, MaxNodes: 3, Spans: []string{"00000000000000ff"}}, f.profile)

		msg.Format = querierv1.ProfileFormat_PROFILE_FORMAT_TREE
		res, err = c.SelectMergeSpanProfile(t.Context(), connect.NewRequest(msg))
		require.NoError(t, err)
		require.NotEmpty(t, res.Msg.Tree)

		msg.SpanSelector = nil
		_, err = c.SelectMergeSpanProfile(t.Context(), connect.NewRequest(msg))
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	})
}

func TestMergeProfile(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		res, err := c.SelectMergeProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeProfileRequest{ProfileTypeID: cpu, Start: 1, End: 2}))
		require.NoError(t, err)
		b, err := proto.Marshal(res.Msg)
		require.NoError(t, err)
		p, err := google.ParseData(b)
		require.NoError(t, err)
		require.NoError(t, p.CheckValid())
		require.Equal(t, "cpu", p.DefaultSampleType)
		require.Equal(t, []*google.ValueType{{Type: "cpu", Unit: "nanoseconds"}}, p.SampleType)
		require.EqualValues(t, 1e9, p.Period)
		require.EqualValues(t, 7, p.TimeNanos)
		require.Len(t, p.Mapping, 1, "only what is used")
		require.Len(t, p.Function, 1)
		require.Len(t, p.Location, 1)
		require.Equal(t, []int64{4}, p.Sample[0].Value)
		require.Len(t, p.Sample[0].Location, 2)
		l := p.Sample[0].Location[0]
		require.Equal(t, []int64{6, 7}, []int64{l.Line[0].Line, l.Line[1].Line})
		require.Equal(t, "main", l.Line[0].Function.Name)
		require.EqualValues(t, 5, l.Line[0].Function.StartLine)
		require.Equal(t, "bin", l.Mapping.File)
		require.Empty(t, p.Sample[1].Location)
		require.NotContains(t, res.Msg.StringTable, "unused")
	})
}

func TestSelectSeries(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		res, err := c.SelectSeries(t.Context(), connect.NewRequest(&querierv1.SelectSeriesRequest{
			ProfileTypeID: cpu, LabelSelector: "{}", Start: 10, End: 20, GroupBy: []string{"pod"}, Step: 0.5, Limit: proto.Int64(9),
			Aggregation:        typesv1.TimeSeriesAggregationType_TIME_SERIES_AGGREGATION_TYPE_AVERAGE.Enum(),
			StackTraceSelector: &typesv1.StackTraceSelector{CallSite: []*typesv1.Location{{Name: "main"}}},
			ExemplarType:       typesv1.ExemplarType_EXEMPLAR_TYPE_INDIVIDUAL,
		}))
		require.NoError(t, err)
		require.Equal(t, []request.Series{{
			Profile: request.Profile{Type: cpu, Selector: "{}", Start: 10, End: 20, CallSite: []string{"main"}},
			GroupBy: []string{"pod"}, StepSeconds: 0.5, Average: true, Limit: 9,
		}}, f.series)
		require.Len(t, res.Msg.Series, 1)
		require.Equal(t, "pod=x", fmt.Sprintf("%s=%s", res.Msg.Series[0].Labels[0].Name, res.Msg.Series[0].Labels[0].Value))
		require.Equal(t, 1.5, res.Msg.Series[0].Points[0].Value)
		require.EqualValues(t, 15_010, res.Msg.Series[0].Points[1].Timestamp)
	})
}

func TestDiff(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		res, err := c.Diff(t.Context(), connect.NewRequest(&querierv1.DiffRequest{
			Left:  &querierv1.SelectMergeStacktracesRequest{LabelSelector: "{l=\"1\"}"},
			Right: &querierv1.SelectMergeStacktracesRequest{LabelSelector: "{r=\"1\"}"},
		}))
		require.NoError(t, err)
		g := res.Msg.Flamegraph
		require.Equal(t, []int64{6, 6, 0}, []int64{g.Total, g.LeftTicks, g.RightTicks})
		require.Equal(t, []int64{0, 6, 0, 0, 0, 0, 0}, levels(g)[0])
		require.Equal(t, "{r=\"1\"}", f.right.Selector)
		_, err = c.Diff(t.Context(), connect.NewRequest(&querierv1.DiffRequest{Left: &querierv1.SelectMergeStacktracesRequest{}}))
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	})
}

func TestLabels(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		names := connect.NewRequest(&typesv1.LabelNamesRequest{Matchers: []string{""}, Start: 1, End: 2})
		got, err := c.LabelNames(t.Context(), names)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "d"}, got.Msg.Names)
		require.Equal(t, request.Labels{Matchers: []string{""}, Start: 1, End: 2}, f.labels)

		names = connect.NewRequest(&typesv1.LabelNamesRequest{})
		names.Header().Set("Accept", "*/*;allow-utf8-labelnames=true")
		got, err = c.LabelNames(t.Context(), names)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b.c", "d"}, got.Msg.Names)

		values, err := c.LabelValues(t.Context(), connect.NewRequest(&typesv1.LabelValuesRequest{Name: "n"}))
		require.NoError(t, err)
		require.Equal(t, []string{"v", "w\uFFFD"}, values.Msg.Names)
		require.Equal(t, "n", f.text)

		sets, err := c.Series(t.Context(), connect.NewRequest(&querierv1.SeriesRequest{}))
		require.NoError(t, err)
		require.Len(t, sets.Msg.LabelsSet, 1, "equal once b.c is hidden")
		sets, err = c.Series(t.Context(), connect.NewRequest(&querierv1.SeriesRequest{LabelNames: []string{"a", "b.c"}}))
		require.NoError(t, err)
		require.Len(t, sets.Msg.LabelsSet, 2)
		require.Equal(t, []string{"a", "b.c"}, f.names)
	})
}

func TestCatalogue(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		types, err := c.ProfileTypes(t.Context(), connect.NewRequest(&querierv1.ProfileTypesRequest{Start: 1000, End: 4000}))
		require.NoError(t, err)
		require.Equal(t, cpu, types.Msg.ProfileTypes[0].ID)
		require.Equal(t, "process_cpu", types.Msg.ProfileTypes[0].Name)
		require.Equal(t, "cpu", types.Msg.ProfileTypes[0].SampleType)

		stats, err := c.GetProfileStats(t.Context(), connect.NewRequest(&typesv1.GetProfileStatsRequest{}))
		require.NoError(t, err)
		require.True(t, stats.Msg.DataIngested)
		require.EqualValues(t, 5, stats.Msg.OldestProfileTime)

		impact, err := c.AnalyzeQuery(t.Context(), connect.NewRequest(&querierv1.AnalyzeQueryRequest{Query: cpu + "{}", Start: 1, End: 2}))
		require.NoError(t, err)
		require.EqualValues(t, 1, impact.Msg.QueryImpact.TotalQueriedSeries)
		require.EqualValues(t, 3, impact.Msg.QueryScopes[0].SampleCount)
		require.Equal(t, cpu+"{}", f.text)
	})
}

func TestErrors(t *testing.T) {
	eachProtocol(t, func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient) {
		for err, want := range map[error]connect.Code{
			fault.New(fault.Invalid, "start 2 is after end 1"):    connect.CodeInvalidArgument,
			fault.New(fault.Unauthenticated, "no tenant"):         connect.CodeUnauthenticated,
			fault.New(fault.Unavailable, "starting"):              connect.CodeUnavailable,
			fmt.Errorf("read block: %w", context.Canceled):        connect.CodeCanceled,
			fmt.Errorf("read block: no such file"):                connect.CodeInternal,
			fault.New(fault.Corrupt, "block x: checksum differs"): connect.CodeDataLoss,
		} {
			f.err = err
			_, got := c.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{}))
			require.Equal(t, want, connect.CodeOf(got), "%v", got)
			require.ErrorContains(t, got, err.Error())
		}
		f.err, f.panics = nil, true
		_, got := c.SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{}))
		require.Equal(t, connect.CodeInternal, connect.CodeOf(got))
		_, got = c.SelectHeatmap(t.Context(), connect.NewRequest(&querierv1.SelectHeatmapRequest{}))
		require.Equal(t, connect.CodeUnimplemented, connect.CodeOf(got))
	})
}

func TestProfileMessageOfNothing(t *testing.T) {
	f, s := serve(t)
	f.err = fault.New(fault.Invalid, "x")
	c := querierv1connect.NewQuerierServiceClient(s.Client(), s.URL)
	var res *connect.Response[googlev1.Profile]
	res, err := c.SelectMergeProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeProfileRequest{}))
	require.Nil(t, res)
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
}
