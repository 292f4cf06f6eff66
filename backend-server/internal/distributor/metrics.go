package distributor

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// metrics count what comes in and what is lost on the way.
type metrics struct {
	profiles, sentBytes, plainBytes *prometheus.CounterVec // by type
	discarded                       *prometheus.CounterVec // by reason
	samples                         *prometheus.CounterVec // by reason
	sampleLabels                    *prometheus.CounterVec // by reason
	truncated                       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		profiles:     vec("hearth_distributor_received_profiles_total", "Profiles taken in.", "type"),
		sentBytes:    vec("hearth_distributor_received_bytes_total", "Bytes of profiles taken in, as sent.", "type"),
		plainBytes:   vec("hearth_distributor_decompressed_bytes_total", "Bytes of profiles taken in, decompressed.", "type"),
		discarded:    vec("hearth_discarded_profiles_total", "Profiles refused.", "reason"),
		samples:      vec("hearth_dropped_samples_total", "Samples left out of profiles that were stored.", "reason"),
		sampleLabels: vec("hearth_dropped_sample_labels_total", "Labels of samples left out; the samples were stored.", "reason"),
		truncated:    prometheus.NewCounter(prometheus.CounterOpts{Name: "hearth_truncated_stacks_total", Help: "Stacks cut to the depth limit."}),
	}
	reg.MustRegister(m.truncated)
	return m
}

// kindOf bounds the values of the label type: clients choose names freely.
func kindOf(name string) string {
	switch name {
	case "process_cpu", "memory", "mutex", "block", "goroutine", "goroutines", "wall", "exceptions":
		return name
	}
	return "other"
}

// observe counts a profile that is going to be stored.
func (m *metrics) observe(ls []profile.LabelPair, p *profile.Profile, sent, plain int) {
	kind := "other"
	if i := find(ls, profile.LabelName); i >= 0 {
		kind = kindOf(ls[i].Value)
	}
	m.profiles.WithLabelValues(kind).Inc()
	m.sentBytes.WithLabelValues(kind).Add(float64(sent))
	m.plainBytes.WithLabelValues(kind).Add(float64(plain))
	count := func(v *prometheus.CounterVec, reason string, n int) {
		if n > 0 {
			v.WithLabelValues(reason).Add(float64(n))
		}
	}
	count(m.samples, "negative_value", p.Dropped.NegativeSamples)
	count(m.samples, "zero_values", p.Dropped.ZeroSamples)
	count(m.sampleLabels, "sample_labels_limit", p.Dropped.UnlabelledSamples)
	m.truncated.Add(float64(p.Dropped.TruncatedStacks))
}
