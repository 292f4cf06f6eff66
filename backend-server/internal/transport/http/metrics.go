package http

import (
	"log/slog"
	nethttp "net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	duration *prometheus.HistogramVec
	running  prometheus.Gauge
	panics   prometheus.Counter
	reloads  prometheus.Counter // of certificates, that failed
	// served holds the paths that were answered with success; only they become
	// label values, so that strangers cannot invent any.
	served sync.Map
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "hearth_http_request_duration_seconds",
			Help:    "Time to answer requests, by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 60},
		}, []string{"method", "route", "status_code"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hearth_http_inflight_requests",
			Help: "Requests being answered.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_http_panics_total",
			Help: "Requests that ended in a panic.",
		}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_http_certificate_failures_total",
			Help: "Changed certificate files for HTTP that could not be used; the last good ones stay.",
		}),
	}
	reg.MustRegister(m.duration, m.running, m.panics, m.reloads)
	return m
}

// route returns the label value for a request that has been answered.
func (m *metrics) route(r *nethttp.Request, status int) string {
	if r.Pattern == "" {
		return "unknown"
	}
	path := r.URL.Path
	if _, ok := m.served.Load(path); ok {
		return path
	}
	if status == nethttp.StatusOK {
		m.served.Store(path, true)
		return path
	}
	return r.Pattern
}

func method(r *nethttp.Request) string {
	switch r.Method {
	case nethttp.MethodGet, nethttp.MethodPost, nethttp.MethodHead, nethttp.MethodPut, nethttp.MethodDelete, nethttp.MethodOptions:
		return r.Method
	}
	return "other"
}

func (s *Server) withMetrics(next nethttp.Handler) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		start, answer := time.Now(), &recorder{ResponseWriter: w}
		s.metrics.running.Inc()
		defer func() {
			s.metrics.running.Dec()
			took, route := time.Since(start), s.metrics.route(r, answer.code())
			s.metrics.duration.WithLabelValues(method(r), route, strconv.Itoa(answer.code())).Observe(took.Seconds())
			if s.logger.Enabled(r.Context(), slog.LevelDebug) {
				s.logger.Debug("request", "method", r.Method, "path", r.URL.Path, "status", answer.code(), "bytes", answer.bytes, "took", took, "from", r.RemoteAddr)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// recorder remembers what was answered.
type recorder struct {
	nethttp.ResponseWriter
	status int
	bytes  int64
}

func (a *recorder) code() int {
	if a.status == 0 {
		return nethttp.StatusOK
	}
	return a.status
}

// WriteHeader implements http.ResponseWriter.
func (a *recorder) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *recorder) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher, which streaming handlers ask for.
func (a *recorder) Flush() { _ = nethttp.NewResponseController(a.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (a *recorder) Unwrap() nethttp.ResponseWriter { return a.ResponseWriter }
