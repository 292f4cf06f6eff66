package replicate

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
)

// Outcomes of pushes.
const (
	stored   = "stored"    // all of it
	refused  = "refused"   // some records or all, by the ingester
	unsent   = "failed"    // nothing is known of it: the ingester could not be asked, or did not answer properly
	timedOut = "timed_out" // there was no answer in time
)

// buckets are for pushes that wait for a disk, or until their timeout.
var buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

type clientMetrics struct {
	duration *prometheus.HistogramVec
	waiting  prometheus.Gauge
}

func newClientMetrics(reg prometheus.Registerer) *clientMetrics {
	m := &clientMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hearth_replicate_push_duration_seconds", Help: "Time until an ingester of another process has answered a push, by outcome.", Buckets: buckets,
		}, []string{"outcome"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hearth_replicate_waiting_bytes", Help: "Bytes of pushes that wait for the answers of ingesters of other processes.",
		}),
	}
	reg.MustRegister(m.duration, m.waiting)
	return m
}

type serverMetrics struct {
	duration *prometheus.HistogramVec
	working  prometheus.Gauge
}

func newServerMetrics(reg prometheus.Registerer) *serverMetrics {
	m := &serverMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hearth_replicate_served_duration_seconds", Help: "Time to store a push of a distributor of another process, by outcome.", Buckets: buckets,
		}, []string{"outcome"}),
		working: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hearth_replicate_working_bytes", Help: "Bytes of pushes of distributors of other processes that are being stored.",
		}),
	}
	reg.MustRegister(m.duration, m.working)
	return m
}

func outcomeOf(ctx context.Context, errs []error, err error) string {
	switch {
	case err != nil && ctx.Err() != nil:
		return timedOut
	case err != nil:
		return unsent
	}
	for _, err := range errs {
		if err != nil {
			return refused
		}
	}
	return stored
}

func answerOutcome(a *hearthv1.PushResponse) string {
	if len(a.GetFailures()) > 0 {
		return refused
	}
	return stored
}
