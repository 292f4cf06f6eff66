package queryfrontend

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

type metrics struct {
	duration *prometheus.HistogramVec
	failures *prometheus.CounterVec

	parts      prometheus.Counter
	retries    prometheus.Counter
	cache      *prometheus.CounterVec
	cacheBytes prometheus.Gauge
}

// What became of looking into the cache. Whether an answer is still good is
// always asked.
const (
	cacheMiss      = "miss"      // it was not there
	cacheUnchanged = "unchanged" // it was, and was used
	cacheChanged   = "changed"   // it was, but the data had changed
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "hearth_query_duration_seconds",
			Help:    "Time to answer queries, failed ones included, by what was asked for.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"kind"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hearth_query_failures_total",
			Help: "Queries that were refused or failed, by what was asked for and why.",
		}, []string{"kind", "reason"}),
	}
	m.parts = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "hearth_query_frontend_split_parts_total",
		Help: "Parts of queries that were split in time.",
	})
	m.retries = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "hearth_query_frontend_retries_total",
		Help: "Times that a query, or a part of one, was asked again because it could not be answered then.",
	})
	m.cache = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hearth_query_frontend_cache_requests_total",
		Help: "Queries and parts of them that looked for an answer that was kept: miss, unchanged (it was used) or changed (the data had changed).",
	}, []string{"outcome"})
	m.cacheBytes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hearth_query_frontend_cache_bytes",
		Help: "Memory of the answers that are kept.",
	})
	for _, outcome := range []string{cacheMiss, cacheUnchanged, cacheChanged} {
		m.cache.WithLabelValues(outcome)
	}
	reg.MustRegister(m.duration, m.failures, m.parts, m.retries, m.cache, m.cacheBytes)
	return m
}

// observe notes the start of a query and returns what notes its end; err is
// looked at then.
func (f *Frontend) observe(kind string, err *error) func() {
	start := time.Now()
	return func() {
		f.metrics.duration.WithLabelValues(kind).Observe(time.Since(start).Seconds())
		if *err != nil {
			f.metrics.failures.WithLabelValues(kind, reason(*err)).Inc()
		}
	}
}

func reason(err error) string {
	switch {
	case fault.KindOf(err) != fault.Unknown:
		return fault.ReasonOf(err)
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline exceeded"
	}
	return fault.ReasonOf(err)
}
