package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/grafana/dskit/ring"
	"github.com/stretchr/testify/require"
)

func page(t *testing.T, c *Cluster, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range c.Routes() {
		mux.Handle(pattern, h)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func get(path, accept string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept", accept)
	return r
}

func post(path, id string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(url.Values{"forget": {id}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestRingPages(t *testing.T) {
	peers := even(3)
	peers[1].silent, peers[2].state = stale, ring.LEAVING
	c, _ := drawn(t, Ingester, peers)

	w := page(t, c, get("/ring", "text/html"))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `<a href="ingester/ring">ingester</a></td><td>1 ACTIVE, 1 LEAVING, 1 UNHEALTHY`)
	require.Contains(t, w.Body.String(), `<a href="compactor/ring">compactor</a></td><td>none`)

	w = page(t, c, get("/ingester/ring", "text/html"))
	require.Contains(t, w.Body.String(), "<td>m1</td><td>UNHEALTHY</td><td>m1:1</td><td>z1</td>")
	require.Equal(t, 1, strings.Count(w.Body.String(), "<button"), "only the dead can be forgotten")

	var got ringPage
	w = page(t, c, get("/ingester/ring", "application/json"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Len(t, got.Members, 3)
	require.Equal(t, "m2", got.Members[2].ID)
	require.Equal(t, "LEAVING", got.Members[2].State)
	require.Len(t, got.Members[2].Tokens, 64)
	require.InDelta(t, 1, got.Members[0].Owns+got.Members[1].Owns+got.Members[2].Owns, 3, "each zone is a ring of its own")
	require.Equal(t, http.StatusNotFound, page(t, c, get("/querier/ring", "")).Code)
	require.Equal(t, http.StatusServiceUnavailable, page(t, c, get("/memberlist", "")).Code)
}

func TestForgetButton(t *testing.T) {
	peers := even(3)
	peers[1].silent = stale
	c, _ := drawn(t, Ingester, peers)
	w := page(t, c, post("/ingester/ring", "m0"))
	require.Equal(t, http.StatusConflict, w.Code)
	require.Contains(t, w.Body.String(), `member "m0" of the ingester ring is ACTIVE, not UNHEALTHY`)
	require.Equal(t, http.StatusNotFound, page(t, c, post("/ingester/ring", "m9")).Code)
	foreign := post("/ingester/ring", "m1")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, page(t, c, foreign).Code)
	require.Equal(t, http.StatusSeeOther, page(t, c, post("/ingester/ring", "m1")).Code)
	members, err := c.Members(context.Background(), Ingester)
	require.NoError(t, err)
	require.Len(t, members, 2)
}

func gossipPage(t *testing.T) {
	alone := start(t, settings(t, "-instance.id=me"), Role{}).up()
	require.Contains(t, page(t, alone.Cluster, get("/memberlist", "")).Body.String(), "This process is alone")
	l := newLAN(t, 9)
	p := l.process(1, Role{}).up()
	w := page(t, p.Cluster, get("/memberlist", "application/json"))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `"p1-`)
	w = page(t, p.Cluster, get("/memberlist", "text/html"))
	require.Contains(t, w.Body.String(), l.host(1))
}
