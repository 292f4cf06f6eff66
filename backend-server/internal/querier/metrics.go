package querier

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	failed         *prometheus.CounterVec // by role
	lost, disputed prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hearth_querier_store_failures_total",
			Help: "Stores that could not be asked, by role.",
		}, []string{"role"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_querier_restarts_total",
			Help: "Questions that were asked again because a store failed in the middle.",
		}),
		disputed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_querier_disputed_total",
			Help: "Questions for which replicas did not hold the same profiles, so that these were compared one by one.",
		}),
	}
	reg.MustRegister(m.failed, m.lost, m.disputed)
	return m
}
