package cluster

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are ours; dskit adds its own of rings, members and gossip.
type metrics struct {
	forgotten   *prometheus.CounterVec
	held        *prometheus.GaugeVec
	twins       prometheus.Counter
	reloadFails prometheus.Counter

	mu   sync.Mutex
	hold map[Name]bool
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		forgotten: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hearth_ring_forgotten_members_total",
			Help: "Dead members that this process has removed from a ring.",
		}, []string{"ring"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hearth_ring_forgetting_held",
			Help: "1 while dead members are kept because this process does not see most of the cluster.",
		}, []string{"ring"}),
		twins: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_ring_identity_conflicts_total",
			Help: "Heartbeats that found another process with this one's -instance.id.",
		}),
		reloadFails: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_gossip_certificate_failures_total",
			Help: "Changed certificate files for gossip that could not be used; the last good ones stay.",
		}),
		hold: map[Name]bool{},
	}
	reg.MustRegister(m.forgotten, m.held, m.twins, m.reloadFails)
	return m
}

// holding notes whether the dead of a ring are held, and reports whether that
// has just begun.
func (m *metrics) holding(name Name, held bool) (begun bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	begun = held && !m.hold[name]
	m.hold[name] = held
	value := 0.0
	if held {
		value = 1
	}
	m.held.WithLabelValues(string(name)).Set(value)
	return begun
}
