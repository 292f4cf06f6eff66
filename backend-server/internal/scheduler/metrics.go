package scheduler

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

type metrics struct {
	waiting   prometheus.Gauge
	running   prometheus.Gauge
	workers   prometheus.Gauge
	wait      prometheus.Histogram
	discarded *prometheus.CounterVec
	requeued  prometheus.Counter
}

// Why queries were discarded.
const (
	reasonTooMany    = question.ReasonTooMany
	reasonGone       = "asker_gone"
	reasonQueriers   = question.ReasonQueriersGone
	reasonNoQueriers = "no_queriers"
	reasonStopping   = "stopping"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "hearth_query_scheduler_" + name, Help: help})
	}
	m := &metrics{
		waiting: gauge("queue_length", "Queries that wait for a querier."),
		running: gauge("running_queries", "Queries that queriers work on."),
		workers: gauge("connected_workers", "Workers of queriers that are connected: how many queries can be worked on at once."),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hearth_query_scheduler_wait_seconds",
			Help:    "How long queries waited until a querier took them.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		discarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hearth_query_scheduler_discarded_queries_total",
			Help: "Queries that left the queue unanswered or never got into it, by reason.",
		}, []string{"reason"}),
		requeued: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_query_scheduler_requeued_queries_total",
			Help: "Queries that were queued again because their querier had gone.",
		}),
	}
	for _, reason := range []string{reasonTooMany, reasonGone, reasonQueriers, reasonNoQueriers, reasonStopping} {
		m.discarded.WithLabelValues(reason)
	}
	reg.MustRegister(m.waiting, m.running, m.workers, m.wait, m.discarded, m.requeued)
	return m
}
