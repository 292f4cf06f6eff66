package resources_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/connection"
	"github.com/hearth-profiles/hearth/pkg/resources"
	"github.com/hearth-profiles/hearth/pkg/upstream"
	"github.com/hearth-profiles/hearth/pkg/upstream/upstreamtest"
)

const cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

type noEmbedded struct{ connection.Embedded }

func server(t *testing.T) (*upstreamtest.Server, *connection.Connection) {
	t.Helper()
	s := upstreamtest.New(t)
	s.Types = []upstream.ProfileType{{ID: cpu, Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"}}
	s.Sets = []map[string]string{{"service_name": "web", "__profile_type__": cpu}}
	s.Labels = map[string][]string{"pod": {"a", "b"}}
	s.Flame = upstream.FlameGraph{Names: []string{"total", "f"}, Levels: [][]int64{{0, 6, 0, 0}, {0, 5, 5, 1}}, Total: 6, MaxSelf: 5}
	s.Series = []upstream.Series{{Labels: map[string]string{"pod": "a"}, Points: []upstream.Point{{Time: 1700000000000, Value: 2.5}}}}
	c, err := connection.New(upstream.Config{URL: s.URL}, http.DefaultClient, noEmbedded{})
	require.NoError(t, err)
	return s, c
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestRoutes(t *testing.T) {
	s, c := server(t)
	const data = "?service=web&type=" + cpu + "&from=1000&until=601000"
	for path, want := range map[string]string{
		"/status":                     `{"mode":"remote","url":"` + s.URL + `","ready":true,"message":"using the server of the settings","version":"1.2.3"}`,
		"/services?from=1&until=2":    `{"services":[{"name":"web","profileTypes":["` + cpu + `"]}]}`,
		"/profileTypes":               `{"types":[{"id":"` + cpu + `","name":"process_cpu","sampleType":"cpu","sampleUnit":"nanoseconds","periodType":"cpu","periodUnit":"nanoseconds","label":"process_cpu / cpu"}]}`,
		"/labelNames?selector={}":     `{"names":["pod"]}`,
		"/labelValues?name=pod":       `{"values":["a","b"]}`,
		"/labelValues?name=none":      `{"values":[]}`,
		"/flamegraph" + data:          `{"names":["total","f"],"levels":[[0,6,0,0],[0,5,5,1]],"total":6,"maxSelf":5,"unit":"nanoseconds"}`,
		"/functions" + data:           `{"functions":[{"name":"f","self":5,"total":5}],"total":6,"unit":"nanoseconds"}`,
		"/series" + data + "&step=60": `{"series":[{"labels":{"pod":"a"},"points":[[1700000000000,2.5]]}],"step":60,"unit":"nanoseconds"}`,
	} {
		w := get(resources.ForApp(c), path)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.JSONEq(t, want, w.Body.String(), path)
	}
}

func TestNothingThereIsAnEmptyList(t *testing.T) {
	s, c := server(t)
	s.Types, s.Sets, s.Labels, s.Series, s.Flame = nil, nil, nil, nil, upstream.FlameGraph{}
	const data = "?type=" + cpu + "&from=1000&until=601000"
	for path, want := range map[string]string{
		"/services":              `{"services":[]}`,
		"/profileTypes":          `{"types":[]}`,
		"/labelNames":            `{"names":[]}`,
		"/labelValues?name=none": `{"values":[]}`,
		"/flamegraph" + data:     `{"names":[],"levels":[],"total":0,"maxSelf":0,"unit":"nanoseconds"}`,
		"/functions" + data:      `{"functions":[],"total":0,"unit":"nanoseconds"}`,
		"/series" + data:         `{"series":[],"step":15,"unit":"nanoseconds"}`,
	} {
		require.JSONEq(t, want, get(resources.ForApp(c), path).Body.String(), path)
	}
}

func TestParametersReachTheServer(t *testing.T) {
	s, c := server(t)
	require.Equal(t, 200, get(resources.ForApp(c), "/flamegraph?service=web&selector=%7Bpod%3D%22a%22%7D&type="+cpu+"&from=1000&until=2000&maxNodes=99").Code)
	want := upstream.Query{ProfileType: cpu, Selector: `{service_name="web",pod="a"}`, Range: upstream.Range{From: 1000, Until: 2000}, MaxNodes: 99}
	require.Equal(t, want, s.LastQuery().Query)

	require.Equal(t, 200, get(resources.ForApp(c), "/functions?service=web&selector=%7Bpod%3D%22a%22%7D&type="+cpu+"&from=1000&until=2000&maxNodes=99").Code)
	want.MaxNodes = 1 << 20
	require.Equal(t, want, s.LastQuery().Query, "functions are exact, whatever the graph shows")

	for query, step := range map[string]float64{
		"&from=1&until=60000":         15,
		"&from=1&until=86400001":      180,
		"&from=1&until=60000&step=1":  15,
		"&from=1&until=60000&step=90": 90,
	} {
		require.Equal(t, 200, get(resources.ForApp(c), "/series?type="+cpu+"&groupBy=pod,%20env,&limit=7"+query).Code)
		last := s.LastQuery()
		require.InDelta(t, step, last.StepSeconds, 0, query)
		require.Equal(t, []string{"pod", "env"}, last.GroupBy)
		require.Equal(t, int64(7), last.Limit)
	}
}

func TestFailures(t *testing.T) {
	s, c := server(t)
	app := resources.ForApp(c)
	check := func(h http.Handler, path string, status int, code, message string) {
		t.Helper()
		w := get(h, path)
		require.Equal(t, status, w.Code, path)
		var e struct{ Code, Message string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
		require.Equal(t, code, e.Code, path)
		require.Contains(t, e.Message, message)
	}
	const typ = "type=" + cpu
	for path, message := range map[string]string{
		"/services?from=x":                                 `from="x" must be a whole number`,
		"/services?from=-5":                                `from="-5" must be a whole number`,
		"/services?from=3&until=2":                         "from=3 is after until=2",
		"/labelValues":                                     "name is required",
		"/flamegraph?from=1&until=2":                       "type is required",
		"/flamegraph?" + typ:                               "from and until are required",
		"/functions?" + typ + "&from=1&until=2&maxNodes=a": `maxNodes="a"`,
		"/series?" + typ + "&from=1&until=2&step=NaN":      `step="NaN" must be a positive number`,
		"/series?" + typ + "&from=1&until=2&step=0":        `step="0"`,
		"/series?" + typ + "&from=1&until=2&limit=x":       `limit="x"`,
	} {
		check(app, path, 400, "invalid_argument", message)
	}
	check(app, "/nothing", 404, "not_found", "no resource GET /nothing")
	check(resources.ForDataSource(c), "/flamegraph", 404, "not_found", "no resource")

	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/services", nil))
	require.Equal(t, http.StatusNotFound, w.Code, "only reading is offered")

	s.Flame.Levels[1][3] = 77
	check(app, "/flamegraph?"+typ+"&from=1&until=2", 502, "data_loss", "name 77 of 2")
	check(app, "/functions?"+typ+"&from=1&until=2", 502, "data_loss", "name 77 of 2")

	s.Fail = connect.NewError(connect.CodeResourceExhausted, errors.New("too many queries"))
	for _, path := range []string{"/services", "/profileTypes", "/labelNames", "/labelValues?name=a", "/flamegraph?" + typ + "&from=1&until=2", "/functions?" + typ + "&from=1&until=2", "/series?" + typ + "&from=1&until=2"} {
		check(app, path, 429, "resource_exhausted", "too many queries")
	}
}

type starting struct{}

func (starting) Client(context.Context) (*upstream.Client, error) {
	return nil, upstream.Unavailable("the embedded server is not ready")
}
func (starting) Status(context.Context) connection.Status { return connection.Status{Mode: "embedded"} }

func TestNoServerYet(t *testing.T) {
	require.Equal(t, http.StatusServiceUnavailable, get(resources.ForApp(starting{}), "/services").Code)
	require.JSONEq(t, `{"mode":"embedded","url":"","ready":false,"message":"","version":""}`, get(resources.ForApp(starting{}), "/status").Body.String())
}
