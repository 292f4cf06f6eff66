package datasource_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/datasource"
	"github.com/hearth-profiles/hearth/pkg/embedded"
	"github.com/hearth-profiles/hearth/pkg/upstream"
	"github.com/hearth-profiles/hearth/pkg/upstream/upstreamtest"
)

const cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

type fakeEmbedded struct{ url string }

func (fakeEmbedded) Start()                                {}
func (f fakeEmbedded) URL(context.Context) (string, error) { return f.url, nil }
func (f fakeEmbedded) Status() embedded.Status {
	return embedded.Status{Mode: embedded.ModeHere, URL: f.url, Ready: true}
}

func server(t *testing.T) *upstreamtest.Server {
	s := upstreamtest.New(t)
	s.Flame = upstream.FlameGraph{Names: []string{"total", "f"}, Levels: [][]int64{{0, 6, 0, 0}, {0, 5, 5, 1}}, Total: 6, MaxSelf: 5}
	s.Series = []upstream.Series{
		{Labels: map[string]string{"pod": "a"}, Points: []upstream.Point{{Time: 15000, Value: 1}}},
		{Labels: map[string]string{"pod": "b"}, Points: []upstream.Point{{Time: 15000, Value: 2}}},
	}
	return s
}

func open(t *testing.T, s backend.DataSourceInstanceSettings, emb fakeEmbedded) *datasource.DataSource {
	t.Helper()
	d, err := datasource.New(t.Context(), s, emb)
	require.NoError(t, err)
	return d
}

func query(ref, kind, fields string) backend.DataQuery {
	return backend.DataQuery{
		RefID: ref, QueryType: kind, Interval: time.Second,
		TimeRange: backend.TimeRange{From: time.UnixMilli(1000), To: time.UnixMilli(601000)},
		JSON:      json.RawMessage(`{"refId":"` + ref + `",` + fields + `}`),
	}
}

func ask(t *testing.T, d *datasource.DataSource, queries ...backend.DataQuery) backend.Responses {
	t.Helper()
	res, err := d.QueryData(t.Context(), &backend.QueryDataRequest{Queries: queries})
	require.NoError(t, err)
	require.Len(t, res.Responses, len(queries))
	return res.Responses
}

func TestQueriesAnswerAlone(t *testing.T) {
	s := server(t)
	d := open(t, backend.DataSourceInstanceSettings{JSONData: []byte(`{"url":"` + s.URL + `"}`)}, fakeEmbedded{})
	const typ = `"profileTypeId":"` + cpu + `"`
	got := ask(t, d,
		query("A", "flamegraph", typ), query("B", "series", typ), query("C", "both", typ), query("D", "", typ),
		query("E", "", `"profileTypeId":""`), query("F", "heatmap", typ), query("G", "", typ+`,"maxNodes":-1`),
		query("H", "", typ+`,"limit":-2`), query("I", "", `"groupBy":7`))

	preferred := func(f *data.Frame) data.VisType { return f.Meta.PreferredVisualization }
	require.Len(t, got["A"].Frames, 1)
	require.Equal(t, data.VisType(data.VisTypeFlameGraph), preferred(got["A"].Frames[0]))
	require.Equal(t, 2, got["A"].Frames[0].Rows())
	require.Len(t, got["B"].Frames, 2)
	require.Equal(t, data.Labels{"pod": "b"}, got["B"].Frames[1].Fields[1].Labels)
	for _, ref := range []string{"C", "D"} {
		require.Len(t, got[ref].Frames, 3, "flame graph first, then the series")
		require.Equal(t, data.VisType(data.VisTypeFlameGraph), preferred(got[ref].Frames[0]))
		require.Equal(t, backend.StatusOK, got[ref].Status)
	}
	for ref, message := range map[string]string{
		"E": "profileTypeId is required", "F": `queryType="heatmap" must be`, "G": "maxNodes=-1", "H": "limit=-2", "I": "query I cannot be read",
	} {
		require.ErrorContains(t, got[ref].Error, message)
		require.Equal(t, backend.StatusBadRequest, got[ref].Status)
		require.Equal(t, backend.ErrorSourceDownstream, got[ref].ErrorSource)
	}
}

func TestQueryFieldsReachTheServer(t *testing.T) {
	s := server(t)
	d := open(t, backend.DataSourceInstanceSettings{URL: s.URL}, fakeEmbedded{})
	fields := `"profileTypeId":"` + cpu + `","labelSelector":"{pod=\"a\"}","groupBy":["pod"],"maxNodes":16384,"limit":5`

	ask(t, d, query("A", "flamegraph", fields))
	want := upstream.Query{ProfileType: cpu, Selector: `{pod="a"}`, Range: upstream.Range{From: 1000, Until: 601000}, MaxNodes: 16384}
	require.Equal(t, want, s.LastQuery().Query)

	for interval, step := range map[time.Duration]float64{time.Second: 15, time.Minute: 60, 20*time.Second + 400*time.Microsecond: 20} {
		q := query("B", "series", fields)
		q.Interval = interval
		ask(t, d, q)
		want.MaxNodes = 0
		require.Equal(t, upstream.SeriesQuery{Query: want, StepSeconds: step, GroupBy: []string{"pod"}, Limit: 5}, s.LastQuery())
	}
}

func TestServerErrorsBecomeStatuses(t *testing.T) {
	s := server(t)
	d := open(t, backend.DataSourceInstanceSettings{URL: s.URL}, fakeEmbedded{})
	s.Fail = connect.NewError(connect.CodeResourceExhausted, errors.New("too many queries"))
	for _, kind := range []string{"flamegraph", "series", "both"} {
		got := ask(t, d, query("A", kind, `"profileTypeId":"`+cpu+`"`))["A"]
		require.EqualError(t, got.Error, "too many queries")
		require.Equal(t, backend.StatusTooManyRequests, got.Status)
		require.Equal(t, backend.ErrorSourceDownstream, got.ErrorSource)
	}
}

func TestSettings(t *testing.T) {
	s := server(t)
	health := func(d *datasource.DataSource) *backend.CheckHealthResult {
		res, err := d.CheckHealth(t.Context(), nil)
		require.NoError(t, err)
		return res
	}
	d := open(t, backend.DataSourceInstanceSettings{
		URL: s.URL, BasicAuthEnabled: true, BasicAuthUser: "u", JSONData: []byte(`{"tenantId":"team-a"}`),
		DecryptedSecureJSONData: map[string]string{"basicAuthPassword": "p"},
	}, fakeEmbedded{})
	require.Equal(t, backend.HealthStatusOk, health(d).Status, health(d).Message)
	require.Equal(t, "Basic dTpw", s.Header().Get("Authorization"))
	require.Equal(t, "team-a", s.Header().Get("X-Scope-OrgID"))

	d = open(t, backend.DataSourceInstanceSettings{
		JSONData: []byte(`{"url":"` + s.URL + `"}`), DecryptedSecureJSONData: map[string]string{"token": "abc"},
	}, fakeEmbedded{})
	require.Equal(t, backend.HealthStatusOk, health(d).Status)
	require.Equal(t, "Bearer abc", s.Header().Get("Authorization"))

	d = open(t, backend.DataSourceInstanceSettings{}, fakeEmbedded{s.URL})
	require.Equal(t, backend.HealthStatusOk, health(d).Status, "no URL: the embedded server")
	require.Empty(t, s.Header().Get("Authorization"))

	_, err := datasource.New(t.Context(), backend.DataSourceInstanceSettings{URL: "nonsense"}, fakeEmbedded{})
	require.ErrorContains(t, err, "must look like http://host:4040")
	_, err = datasource.New(t.Context(), backend.DataSourceInstanceSettings{JSONData: []byte(`{`)}, fakeEmbedded{})
	require.ErrorContains(t, err, "jsonData")
}

func TestResources(t *testing.T) {
	s := server(t)
	s.Labels = map[string][]string{"pod": {"a"}}
	d := open(t, backend.DataSourceInstanceSettings{URL: s.URL}, fakeEmbedded{})
	var got *backend.CallResourceResponse
	send := backend.CallResourceResponseSenderFunc(func(r *backend.CallResourceResponse) error { got = r; return nil })
	require.NoError(t, d.CallResource(t.Context(), &backend.CallResourceRequest{Path: "labelNames", URL: "labelNames?from=1&until=2", Method: "GET"}, send))
	require.Equal(t, 200, got.Status)
	require.JSONEq(t, `{"names":["pod"]}`, string(got.Body))
}
