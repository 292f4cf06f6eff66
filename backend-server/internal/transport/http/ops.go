package http

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	nethttp "net/http"
	"net/http/pprof"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/buildinfo"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// Ready returns the handler of /ready: 200 when check finds nothing wrong,
// else 503 with the reason.
func Ready(check func(context.Context) error) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if err := check(r.Context()); err != nil {
			nethttp.Error(w, "not ready: "+err.Error(), nethttp.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

// Flush returns the handler of /ingester/flush: 204 when flush has succeeded.
func Flush(flush func(context.Context) error, logger *slog.Logger) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if err := flush(r.Context()); err != nil {
			logger.Error("flush on request failed", "err", err)
			nethttp.Error(w, err.Error(), wire.HTTPStatus(err))
			return
		}
		w.WriteHeader(nethttp.StatusNoContent)
	})
}

// Switch returns a handler that sets a switch with POST, resets it with DELETE
// and tells with GET whether it is set.
func Switch(b *atomic.Bool) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.Method {
		case nethttp.MethodPost:
			b.Store(true)
		case nethttp.MethodDelete:
			b.Store(false)
		case nethttp.MethodGet:
		default:
			w.Header().Set("Allow", "GET, POST, DELETE")
			nethttp.Error(w, "GET tells whether it is set, POST sets it, DELETE resets it", nethttp.StatusMethodNotAllowed)
			return
		}
		if b.Load() {
			fmt.Fprintln(w, "set")
			return
		}
		fmt.Fprintln(w, "unset")
	})
}

// Metrics returns the handler of /metrics.
func Metrics(g prometheus.Gatherer) nethttp.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// BuildInfo returns the handler of /api/v1/status/buildinfo.
func BuildInfo(info buildinfo.Info) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": info})
	})
}

// YAML returns a handler that answers with a YAML document.
func YAML(document func() ([]byte, error)) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		b, err := document()
		if err != nil {
			nethttp.Error(w, err.Error(), nethttp.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/yaml; charset=utf-8")
		_, _ = w.Write(b)
	})
}

// HandlePprof adds Go's own profiling pages under /debug/pprof/. CPU profiles
// come from cpu, for a process can run only one at a time.
func (s *Server) HandlePprof(cpu nethttp.Handler) {
	s.mux.HandleFunc("/debug/pprof/", pprof.Index)
	s.mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	s.mux.Handle("/debug/pprof/profile", cpu)
	s.mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	s.mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
}

// Link is one entry of the status page.
type Link struct{ Path, Text string }

var page = template.Must(template.New("status").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hearth</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}td{padding:.15rem 1rem .15rem 0}</style>
</head><body>
<h1>Hearth</h1>
<p>Version {{.Info.Version}}{{with .Info.Revision}} ({{.}}){{end}}, {{.Info.GoVersion}}. This is the server; profiles are looked at in Grafana, with the Hearth app.</p>
<table>{{range .Links}}<tr><td><a href="{{.Path}}">{{.Path}}</a></td><td>{{.Text}}</td></tr>{{end}}</table>
</body></html>
`))

// StatusPage returns the handler of /: what this process is and where to look.
func StatusPage(info buildinfo.Info, links []Link) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, struct {
			Info  buildinfo.Info
			Links []Link
		}{info, links})
	})
}
