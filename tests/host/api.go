package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
	"github.com/hashicorp/go-hclog"
)

// host answers Grafana's HTTP API from the plugin processes.
type host struct {
	plugins   []*Plugin
	processes processes
	settings  *settings
	page      *page
	log       hclog.Logger
	role      string
	url       string
}

// statusError is an answer other than 200.
type statusError struct {
	code    int
	message string
}

func (e statusError) Error() string { return e.message }

func notFound(what, name string) error {
	return statusError{http.StatusNotFound, fmt.Sprintf("%s %q is not known to the host", what, name)}
}

func (h *host) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/ds/query", h.answer(h.query))
	mux.HandleFunc("GET /api/datasources", h.answer(h.listDataSources))
	mux.HandleFunc("GET /api/datasources/uid/{uid}", h.answer(h.getDataSource))
	mux.HandleFunc("PUT /api/datasources/uid/{uid}", h.answer(h.putDataSource))
	mux.HandleFunc("GET /api/datasources/uid/{uid}/health", h.answer(h.dataSourceHealth))
	mux.HandleFunc("/api/datasources/uid/{uid}/resources/{path...}", h.answer(h.dataSourceResource))
	mux.HandleFunc("GET /api/plugins/{id}/settings", h.answer(h.pluginSettings))
	mux.HandleFunc("POST /api/plugins/{id}/settings", h.answer(h.savePluginSettings))
	mux.HandleFunc("GET /api/plugins/{id}/health", h.answer(h.pluginHealth))
	mux.HandleFunc("/api/plugins/{id}/resources/{path...}", h.answer(h.pluginResource))
	mux.HandleFunc("GET /api/frontend/settings", h.answer(h.frontendSettings))
	mux.HandleFunc("GET /api/search", h.answer(h.listDashboards))
	mux.HandleFunc("GET /api/dashboards/uid/{uid}", h.answer(h.getDashboard))
	mux.HandleFunc("GET /api/health", h.answer(h.health))
	mux.HandleFunc("/api/", h.answer(func(_ http.ResponseWriter, r *http.Request) error {
		return notFound("API path", r.URL.Path)
	}))
	h.pageRoutes(mux)
	return mux
}

// answer turns a handler that may fail into an http.HandlerFunc with Grafana's error body.
func (h *host) answer(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		if err == nil {
			return
		}
		code := http.StatusInternalServerError
		if s, ok := err.(statusError); ok {
			code = s.code
		}
		h.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "code", code, "error", err)
		_ = writeJSON(w, code, map[string]any{"message": err.Error()})
	}
}

func writeJSON(w http.ResponseWriter, code int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(raw)
	return nil
}

// pluginContext is what every plugin request carries about who asks and with which settings.
func (h *host) pluginContext(r *http.Request, i instance) (backend.PluginContext, error) {
	role := h.role
	if given := r.Header.Get("X-Test-Role"); given != "" {
		role = given
	}
	c := backend.PluginContext{
		OrgID: 1, PluginID: i.PluginID, Namespace: "default",
		User:          &backend.User{Login: "tester", Name: "Tester", Email: "tester@localhost", Role: role},
		GrafanaConfig: backend.NewGrafanaCfg(map[string]string{backend.AppURL: h.url}),
	}
	if p := findPlugin(h.plugins, i.PluginID); p != nil {
		c.PluginVersion = p.Version
	}
	return c, i.fillContext(&c)
}

type queryRequest struct {
	From, To string
	Queries  []json.RawMessage
}

func (q *queryRequest) UnmarshalJSON(b []byte) error {
	var raw struct {
		From, To any
		Queries  []json.RawMessage
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	text := func(v any) string {
		if n, ok := v.(float64); ok {
			return fmt.Sprintf("%.0f", n)
		}
		return fmt.Sprint(v)
	}
	q.From, q.To, q.Queries = text(raw.From), text(raw.To), raw.Queries
	return nil
}

func (h *host) query(w http.ResponseWriter, r *http.Request) error {
	var body queryRequest
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return statusError{http.StatusBadRequest, "request body: " + err.Error()}
	}
	now := time.Now()
	from, fromErr := parseTime(body.From, now)
	to, toErr := parseTime(body.To, now)
	if fromErr != nil || toErr != nil {
		return statusError{http.StatusBadRequest, fmt.Sprintf("time range %q to %q", body.From, body.To)}
	}
	byDataSource := map[string][]backend.DataQuery{}
	for _, raw := range body.Queries {
		uid, q, err := readQuery(raw, backend.TimeRange{From: from, To: to})
		if err != nil {
			return statusError{http.StatusBadRequest, "query: " + err.Error()}
		}
		byDataSource[uid] = append(byDataSource[uid], q)
	}
	all := backend.NewQueryDataResponse()
	for uid, queries := range byDataSource {
		part, err := h.queryDataSource(r, uid, queries)
		if err != nil {
			return err
		}
		for ref, res := range part.Responses {
			all.Responses[ref] = res
		}
	}
	code := http.StatusOK
	for _, res := range all.Responses {
		if res.Error != nil {
			code = http.StatusBadRequest
		}
	}
	return writeJSON(w, code, all)
}

// parseTime reads Unix milliseconds, "now", or "now-1h" with Go's units.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "now" {
		return now, nil
	}
	if ago, ok := strings.CutPrefix(s, "now-"); ok {
		d, err := time.ParseDuration(ago)
		return now.Add(-d), err
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	return time.UnixMilli(ms), err
}

func readQuery(raw json.RawMessage, during backend.TimeRange) (string, backend.DataQuery, error) {
	var q struct {
		RefID, QueryType string
		Datasource       struct{ UID string }
		MaxDataPoints    int64
		IntervalMs       float64
	}
	if err := json.Unmarshal(raw, &q); err != nil {
		return "", backend.DataQuery{}, err
	}
	return q.Datasource.UID, backend.DataQuery{
		RefID: q.RefID, QueryType: q.QueryType, MaxDataPoints: max(q.MaxDataPoints, 100),
		Interval: time.Duration(max(q.IntervalMs, 1000)) * time.Millisecond, TimeRange: during, JSON: raw,
	}, nil
}

func (h *host) queryDataSource(r *http.Request, uid string, qs []backend.DataQuery) (*backend.QueryDataResponse, error) {
	d, ok := h.settings.dataSource(uid)
	if !ok {
		return nil, notFound("data source", uid)
	}
	ctx, err := h.pluginContext(r, d)
	if err != nil {
		return nil, err
	}
	b, err := h.processes.backend(d.PluginID)
	if err != nil {
		return nil, err
	}
	req := backend.ToProto().QueryDataRequest(&backend.QueryDataRequest{PluginContext: ctx, Queries: qs})
	res, err := b.Data.QueryData(r.Context(), req)
	if err != nil {
		return nil, fmt.Errorf("query data: %w", err)
	}
	return backend.FromProto().QueryDataResponse(res)
}

func (h *host) dataSourceResource(w http.ResponseWriter, r *http.Request) error {
	d, ok := h.settings.dataSource(r.PathValue("uid"))
	if !ok {
		return notFound("data source", r.PathValue("uid"))
	}
	return h.resource(w, r, d)
}

func (h *host) pluginResource(w http.ResponseWriter, r *http.Request) error {
	app, ok := h.settings.app(r.PathValue("id"))
	if !ok {
		return notFound("app", r.PathValue("id"))
	}
	return h.resource(w, r, app)
}

func (h *host) resource(w http.ResponseWriter, r *http.Request, i instance) error {
	ctx, err := h.pluginContext(r, i)
	if err != nil {
		return err
	}
	b, err := h.processes.backend(i.PluginID)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return statusError{http.StatusBadRequest, "request body: " + err.Error()}
	}
	url := r.PathValue("path")
	if r.URL.RawQuery != "" {
		url += "?" + r.URL.RawQuery
	}
	headers := r.Header.Clone()
	for _, own := range []string{"Cookie", "Connection", "X-Test-Role"} {
		headers.Del(own)
	}
	stream, err := b.Resource.CallResource(r.Context(), backend.ToProto().CallResourceRequest(&backend.CallResourceRequest{
		PluginContext: ctx, Path: r.PathValue("path"), Method: r.Method, URL: url, Headers: headers, Body: body,
	}))
	if err != nil {
		return fmt.Errorf("call resource: %w", err)
	}
	return relay(w, stream)
}

// relay copies a streamed answer: the first message carries status and headers, later ones only body.
func relay(w http.ResponseWriter, stream pluginv2.Resource_CallResourceClient) error {
	for first := true; ; first = false {
		msg, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil && first {
			return fmt.Errorf("call resource: %w", err)
		}
		if err != nil {
			return nil
		}
		if first {
			for k, values := range msg.Headers {
				for _, v := range values.Values {
					w.Header().Add(k, v)
				}
			}
			w.Header().Del("Set-Cookie")
			w.WriteHeader(int(msg.Code))
		}
		if _, err := w.Write(msg.Body); err != nil {
			return nil
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
}

func (h *host) dataSourceHealth(w http.ResponseWriter, r *http.Request) error {
	d, ok := h.settings.dataSource(r.PathValue("uid"))
	if !ok {
		return notFound("data source", r.PathValue("uid"))
	}
	return h.checkHealth(w, r, d, http.StatusBadRequest)
}

func (h *host) pluginHealth(w http.ResponseWriter, r *http.Request) error {
	app, ok := h.settings.app(r.PathValue("id"))
	if !ok {
		return notFound("app", r.PathValue("id"))
	}
	return h.checkHealth(w, r, app, http.StatusServiceUnavailable)
}

func (h *host) checkHealth(w http.ResponseWriter, r *http.Request, i instance, badCode int) error {
	ctx, err := h.pluginContext(r, i)
	if err != nil {
		return err
	}
	b, err := h.processes.backend(i.PluginID)
	if err != nil {
		return err
	}
	req := &pluginv2.CheckHealthRequest{PluginContext: backend.ToProto().PluginContext(ctx)}
	res, err := b.Diagnostics.CheckHealth(r.Context(), req)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	code := http.StatusOK
	if res.Status != pluginv2.CheckHealthResponse_OK {
		code = badCode
	}
	body := map[string]any{"status": res.Status.String(), "message": res.Message}
	if json.Valid(res.JsonDetails) {
		body["details"] = json.RawMessage(res.JsonDetails)
	}
	return writeJSON(w, code, body)
}
