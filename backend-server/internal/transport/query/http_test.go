package query_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
)

const service = "/querier.v1.QuerierService/"

// post sends a body as a browser or a script would and returns the answer.
func post(t *testing.T, s *httptest.Server, method, contentType, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+service+method, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(t, s, req)
}

func get(t *testing.T, s *httptest.Server, path string, params url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path+"?"+params.Encode(), nil)
	require.NoError(t, err)
	return do(t, s, req)
}

func do(t *testing.T, s *httptest.Server, req *http.Request) (int, string) {
	t.Helper()
	res, err := s.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

// TestJSONAsBrowsersSendIt is about the spelling of requests: either form of
// field names, numbers as numbers or text, and fields nobody knows.
func TestJSONAsBrowsersSendIt(t *testing.T) {
	want := request.Profile{Type: cpu, Selector: "{}", Start: 5, End: 6, MaxNodes: 16384, CallSite: []string{"main"}}
	for name, body := range map[string]string{
		"camel case, text":   `{"profileTypeID":"` + cpu + `","labelSelector":"{}","start":"5","end":"6","maxNodes":"16384","stackTraceSelector":{"callSite":[{"name":"main"}]}}`,
		"proto names":        `{"profile_typeID":"` + cpu + `","label_selector":"{}","start":5,"end":6,"max_nodes":16384,"stack_trace_selector":{"call_site":[{"name":"main"}]}}`,
		"mixed":              `{"profile_typeID":"` + cpu + `","labelSelector":"{}","start":5,"end":"6","maxNodes":16384,"stackTraceSelector":{"call_site":[{"name":"main"}]}}`,
		"unknown fields":     `{"profile_typeID":"` + cpu + `","labelSelector":"{}","start":5,"end":6,"maxNodes":16384,"stackTraceSelector":{"call_site":[{"name":"main"}],"frameFilter":{"x":[1]}},"newThing":{"a":null}}`,
		"format of a future": `{"profile_typeID":"` + cpu + `","labelSelector":"{}","start":5,"end":6,"maxNodes":16384,"stackTraceSelector":{"call_site":[{"name":"main"}]},"format":"PROFILE_FORMAT_SANDWICH"}`,
	} {
		t.Run(name, func(t *testing.T) {
			f, s := serve(t)
			status, got := post(t, s, "SelectMergeStacktraces", "application/json", body)
			require.Equal(t, 200, status, got)
			require.Equal(t, want, f.profile)
			require.JSONEq(t, `{"flamegraph":{"names":["total","main","a","b�","c"],"levels":[
				{"values":["0","6","0","0"]},{"values":["0","6","1","1"]},{"values":["1","3","3","2","0","2","0","3"]},{"values":["4","2","2","4"]}],
				"total":"6","maxSelf":"3"}}`, got, "whole numbers leave as text")
		})
	}
}

func TestRawRequests(t *testing.T) {
	f, s := serve(t)
	status, body := post(t, s, "Series", "application/json", "{")
	require.Equal(t, 400, status)
	require.Contains(t, body, `"code":"invalid_argument"`)
	status, body = post(t, s, "Series", "application/proto", "\xff\xff")
	require.Equal(t, 400, status, body)
	require.Contains(t, body, `"code":"invalid_argument"`)
	status, _ = post(t, s, "Series", "application/json; charset=utf-8", `{}`)
	require.Equal(t, 200, status)
	status, _ = post(t, s, "NoSuchMethod", "application/json", `{}`)
	require.Equal(t, 404, status)
	status, _ = post(t, s, "SelectHeatmap", "application/json", `{}`)
	require.Equal(t, 501, status)

	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write([]byte(`{"name":"x"}`))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	status, _ = post(t, s, "LabelValues", "application/json", zipped.String(), "Content-Encoding", "gzip")
	require.Equal(t, 200, status)
	require.Equal(t, "x", f.text)
	status, body = post(t, s, "LabelValues", "application/json", "no gzip", "Content-Encoding", "gzip")
	require.Equal(t, 400, status, body)

	f.err = fault.New(fault.Exhausted, "too many queries")
	status, body = post(t, s, "LabelValues", "application/json", `{}`)
	require.Equal(t, 429, status)
	require.JSONEq(t, `{"code":"resource_exhausted","message":"too many queries"}`, body)
}

func TestRender(t *testing.T) {
	f, s := serve(t)
	status, body := get(t, s, "/pyroscope/render", url.Values{
		"query": {cpu + `{a="1"}`}, "from": {"1699999940"}, "until": {"now"}, "max-nodes": {"50"}, "groupBy": {"pod"}, "format": {"json"}, "limit": {"3"},
	})
	require.Equal(t, 200, status, body)
	start, end := profile.UnixMilli(1699999940_000), profile.UnixMilli(now.UnixMilli())
	require.Equal(t, request.Profile{Type: cpu, Selector: `{a="1"}`, Start: start, End: end, MaxNodes: 50}, f.profile)
	require.Len(t, f.series, 2)
	require.Equal(t, 15.0, f.series[0].StepSeconds)
	require.JSONEq(t, `{
		"version": 1,
		"flamebearer": {"names":["total","main","a","b�","c"],"levels":[[0,6,0,0],[0,6,1,1],[1,3,3,2,0,2,0,3],[4,2,2,4]],"numTicks":6,"maxSelf":3},
		"metadata": {"format":"single","spyName":"","sampleRate":1000000000,"units":"samples","name":"cpu"},
		"timeline": {"startTime":1699999940,"samples":[1.5,2,0,0,0],"durationDelta":15,"watermarks":null},
		"groups": {"x": {"startTime":1699999940,"samples":[1.5,2,0,0,0],"durationDelta":15,"watermarks":null}}
	}`, body)

	f.series = nil
	status, _ = get(t, s, "/pyroscope/render", url.Values{"query": {cpu}, "from": {"now-30d"}})
	require.Equal(t, 200, status)
	require.Len(t, f.series, 1)
	require.Equal(t, 1728.0, f.series[0].StepSeconds)

	for _, c := range []struct {
		params url.Values
		status int
		want   string
	}{
		{url.Values{}, 400, "query is missing"},
		{url.Values{"query": {cpu}, "from": {"soon"}}, 400, "from is"},
		{url.Values{"query": {cpu}, "max-nodes": {"x"}}, 400, "max-nodes is"},
		{url.Values{"query": {cpu}, "format": {"dot"}}, 501, "dot"},
	} {
		status, body := get(t, s, "/pyroscope/render", c.params)
		require.Equal(t, c.status, status)
		require.Contains(t, body, c.want)
	}
	f.err = fault.New(fault.Invalid, "bad")
	status, body = get(t, s, "/pyroscope/render", url.Values{"query": {cpu}})
	require.Equal(t, 400, status)
	require.JSONEq(t, `{"code":"invalid_argument","message":"bad"}`, body)
}

func TestFunctions(t *testing.T) {
	f, s := serve(t)
	status, body := get(t, s, "/pyroscope/functions", url.Values{
		"query": {cpu + `{a="1"}`}, "from": {"1699999940"}, "until": {"now"}, "limit": {"2"}, "sort": {"self"},
	})
	require.Equal(t, 200, status, body)
	require.JSONEq(t, `{
		"unit": "nanoseconds", "total": 6,
		"functions": [{"name":"a","self":3,"total":3},{"name":"c","self":2,"total":2}],
		"rest": {"functions":2,"self":1}
	}`, body)
	require.Equal(t, request.Functions{
		Profile: request.Profile{Type: cpu, Selector: `{a="1"}`, Start: 1699999940_000, End: profile.UnixMilli(now.UnixMilli())},
		Limit:   2, Sort: "self",
	}, f.functions)

	f.saturated = true
	_, body = get(t, s, "/pyroscope/functions", url.Values{"query": {cpu}})
	require.Contains(t, body, `"functions":[{"name":"main","self":1,"total":6},{"name":"a","self":3,"total":3}]`)
	require.Contains(t, body, `"saturated":true`)
	f.empty = true
	_, body = get(t, s, "/pyroscope/functions", url.Values{"query": {cpu}})
	require.Contains(t, body, `"functions":[]`)

	for _, c := range []struct {
		params url.Values
		want   string
	}{
		{url.Values{}, "query is missing"},
		{url.Values{"query": {cpu}, "until": {"soon"}}, "until is"},
		{url.Values{"query": {cpu}, "limit": {"x"}}, `limit is \"x\"; it must be a whole number`},
	} {
		status, body := get(t, s, "/pyroscope/functions", c.params)
		require.Equal(t, 400, status)
		require.Contains(t, body, c.want)
	}
}

func TestRenderDiff(t *testing.T) {
	f, s := serve(t)
	status, body := get(t, s, "/pyroscope/render-diff", url.Values{
		"leftQuery": {cpu + `{a="1"}`}, "leftFrom": {"now-2h"}, "leftUntil": {"now-1h"}, "rightQuery": {"memory:inuse_space:bytes:space:bytes{}"},
	})
	require.Equal(t, 200, status, body)
	require.Equal(t, `{a="1"}`, f.profile.Selector)
	require.EqualValues(t, 3600_000, f.profile.End-f.profile.Start)
	require.Equal(t, "memory:inuse_space:bytes:space:bytes", f.right.Type)
	var got struct {
		Flamebearer           struct{ Levels [][]int64 }
		Metadata              struct{ Format string }
		LeftTicks, RightTicks int64
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Equal(t, "double", got.Metadata.Format)
	require.Len(t, got.Flamebearer.Levels[0], 7)
	require.EqualValues(t, 6, got.LeftTicks)
	require.Zero(t, got.RightTicks)
	status, body = get(t, s, "/pyroscope/render-diff", url.Values{"leftQuery": {cpu}})
	require.Equal(t, 400, status)
	require.Contains(t, body, "rightQuery is missing")
}

func TestLegacyLabels(t *testing.T) {
	f, s := serve(t)
	status, body := get(t, s, "/pyroscope/label-values", url.Values{"label": {"pod"}, "query": {`{a="1"}`}, "from": {"now-1h"}})
	require.Equal(t, 200, status)
	require.JSONEq(t, `["v","w�"]`, body)
	require.Equal(t, "pod", f.text)
	require.Equal(t, request.Labels{Matchers: []string{`{a="1"}`}, Start: profile.UnixMilli(now.UnixMilli() - 3600_000), End: profile.UnixMilli(now.UnixMilli())}, f.labels)
	status, body = get(t, s, "/pyroscope/labels", nil)
	require.Equal(t, 200, status)
	require.JSONEq(t, `["a","b.c","d"]`, body)
	require.Equal(t, request.Labels{}, f.labels)
}
