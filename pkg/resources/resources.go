// Package resources is the HTTP side of the plugin backend: the routes that
// the app's pages and the data source's editors call through Grafana.
//
//	resources.go  routes, JSON in and out, errors
//	params.go     query parameters → upstream queries
//	lists.go      status, services, types, label names and values
//	data.go       flame graph, functions, series
//
// Invariants:
//   - every answer is JSON; a failure is {"message","code"} with an HTTP status;
//   - lists are never null;
//   - a route holds no state: what it needs comes with the request.
package resources

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/hearth-profiles/hearth/pkg/connection"
	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// Server is the server that the routes ask.
type Server interface {
	Client(ctx context.Context) (*upstream.Client, error)
	Status(ctx context.Context) connection.Status
}

// handler answers one request with a value to encode, or an error.
type handler func(ctx context.Context, c *upstream.Client, p params) (any, error)

// ForApp returns the routes of the app.
func ForApp(s Server) http.Handler {
	mux := editorRoutes(s)
	mux.Handle("GET /services", route(s, services))
	mux.Handle("GET /flamegraph", route(s, flameGraph))
	mux.Handle("GET /functions", route(s, functions))
	mux.Handle("GET /series", route(s, timeSeries))
	return mux
}

// ForDataSource returns the routes of the data source: what its editors need.
func ForDataSource(s Server) http.Handler { return editorRoutes(s) }

func editorRoutes(s Server) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, s.Status(r.Context()))
	})
	mux.Handle("GET /profileTypes", route(s, profileTypes))
	mux.Handle("GET /labelNames", route(s, labelNames))
	mux.Handle("GET /labelValues", route(s, labelValues))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &upstream.Error{Code: "not_found", Status: http.StatusNotFound, Message: "no resource " + r.Method + " " + r.URL.Path})
	})
	return mux
}

func route(s Server, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := s.Client(r.Context())
		if err != nil {
			writeError(w, err)
			return
		}
		answer, err := h(r.Context(), client, params{r.URL.Query()})
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	})
}

func writeError(w http.ResponseWriter, err error) {
	e := upstream.AsError(err)
	writeJSON(w, e.Status, struct {
		Message string `json:"message"`
		Code    string `json:"code"`
	}{e.Message, e.Code})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"message":"the answer cannot be encoded","code":"internal_plugin"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone if this fails
}
