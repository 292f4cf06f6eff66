package query_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzGet sends any query string to the endpoints that are not RPCs: what they
// answer is JSON, and what is wrong with the question is the client's fault.
func FuzzGet(f *testing.F) {
	paths := []string{"/pyroscope/render", "/pyroscope/functions", "/pyroscope/render-diff", "/pyroscope/labels", "/pyroscope/label-values"}
	for _, params := range []url.Values{
		{},
		{"query": {cpu + `{a="1"}`}, "from": {"now-1h"}, "until": {"now"}, "limit": {"5"}, "sort": {"self"}, "max-nodes": {"10"}},
		{"query": {cpu}, "from": {"1699999940"}, "until": {"1700000000"}, "groupBy": {"pod", "x"}, "aggregation": {"avg"}},
		{"leftQuery": {cpu}, "leftFrom": {"now-2h"}, "rightQuery": {cpu + "{}"}, "rightUntil": {"1700000000000"}},
		{"query": {cpu}, "until": {"0"}},
		{"query": {`{}`}, "label": {"pod"}, "from": {"-1"}, "until": {"9223372036854775807"}},
	} {
		for i := range paths {
			f.Add(uint8(i), params.Encode())
		}
	}
	_, s := serve(f)
	f.Fuzz(func(t *testing.T, which uint8, query string) {
		r := httptest.NewRequest(http.MethodGet, paths[int(which)%len(paths)], nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		require.Contains(t, []int{200, 400, 501}, w.Code, w.Body.String())
		require.True(t, json.Valid(w.Body.Bytes()), w.Body.String())
	})
}
