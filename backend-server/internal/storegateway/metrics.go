package storegateway

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	known, open, lastSync                   prometheus.Gauge
	syncFailures, openFailures, brokenMetas prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	return &metrics{
		known:        gauge("hearth_store_gateway_blocks", "Blocks of the bucket that are known."),
		open:         gauge("hearth_store_gateway_blocks_open", "Blocks of the bucket that are open."),
		lastSync:     gauge("hearth_store_gateway_last_sync_timestamp_seconds", "When the bucket was last listed with success."),
		syncFailures: counter("hearth_store_gateway_sync_failures_total", "Listings of the bucket that failed, at least in part."),
		openFailures: counter("hearth_store_gateway_open_failures_total", "Blocks that could not be opened for a query."),
		brokenMetas:  counter("hearth_store_gateway_broken_metas_total", "Meta files that could not be understood."),
	}
}
