package compactor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	lastRound                        prometheus.Gauge
	blocks                           *prometheus.GaugeVec // by tenant
	jobs, read, written              prometheus.Counter
	failures, damaged                prometheus.Counter
	removed, partial, rounds, erased prometheus.Counter
	duration                         prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "hearth_compactor_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		lastRound: prometheus.NewGauge(prometheus.GaugeOpts{Name: "hearth_compactor_last_successful_round_timestamp_seconds", Help: "When a round last ended without a failure."}),
		blocks:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hearth_compactor_blocks", Help: "Blocks in the bucket that count, by tenant; after a round."}, []string{"tenant"}),
		jobs:      counter("jobs_total", "Jobs done."),
		read:      counter("read_bytes_total", "Bytes of blocks read for jobs."),
		written:   counter("written_bytes_total", "Bytes of blocks written by jobs."),
		failures:  counter("failures_total", "Jobs, and rounds of a tenant, that failed."),
		damaged:   counter("damaged_blocks_total", "Blocks that could not be read."),
		removed:   counter("removed_blocks_total", "Blocks removed from the bucket."),
		partial:   counter("removed_uploads_total", "Unfinished uploads removed from the bucket."),
		rounds:    counter("rounds_total", "Rounds begun."),
		erased:    counter("blocks_without_remains_total", "Blocks of which deletions left nothing."),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hearth_compactor_job_duration_seconds", Help: "How long jobs took.", Buckets: prometheus.ExponentialBuckets(0.1, 4, 8),
		}),
	}
	reg.MustRegister(m.lastRound, m.blocks, m.duration)
	return m
}
