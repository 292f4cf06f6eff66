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
}

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
	reg.MustRegister(m.duration, m.failures)
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
