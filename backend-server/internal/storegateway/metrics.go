package storegateway

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	known, open, lastSync                   prometheus.Gauge
	syncFailures, openFailures, brokenMetas prometheus.Counter
	cacheRequests                           *prometheus.CounterVec
	cacheFailures                           prometheus.Counter
}

// Results of asking for a part of a block that may be kept.
const (
	hit  = "hit"
	miss = "miss"
)

// registerCaches tells of the caches.
func registerCaches(reg prometheus.Registerer, c *caches) {
	gauge := func(name string, of func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hearth_store_gateway_cache_bytes", Help: "What is kept of blocks: decoded in memory, or raw on the disk.", ConstLabels: prometheus.Labels{"cache": name},
		}, func() float64 { return float64(of()) })
	}
	reg.MustRegister(gauge("memory", c.memory.Bytes), prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "hearth_store_gateway_blocks_forgotten_total", Help: "How often a block had to let go of what was decoded, for others to have room.",
	}, func() float64 { return float64(c.memory.Forgot()) }))
	if c.disk != nil {
		reg.MustRegister(gauge("disk", c.disk.Bytes))
	}
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
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hearth_store_gateway_cache_requests_total",
		Help: "Parts of blocks that were not in memory, by whether the disk had them or another query was reading them (hit), or the bucket was asked (miss).",
	}, []string{"result"})
	reg.MustRegister(requests)
	return &metrics{
		cacheRequests: requests,
		cacheFailures: counter("hearth_store_gateway_cache_failures_total", "Parts of blocks that could not be written to the disk."),
		known:         gauge("hearth_store_gateway_blocks", "Blocks of the bucket that are known."),
		open:          gauge("hearth_store_gateway_blocks_open", "Blocks of the bucket that are open."),
		lastSync:      gauge("hearth_store_gateway_last_sync_timestamp_seconds", "When the bucket was last listed with success."),
		syncFailures:  counter("hearth_store_gateway_sync_failures_total", "Listings of the bucket that failed, at least in part."),
		openFailures:  counter("hearth_store_gateway_open_failures_total", "Blocks that could not be opened for a query."),
		brokenMetas:   counter("hearth_store_gateway_broken_metas_total", "Meta files that could not be understood."),
	}
}
