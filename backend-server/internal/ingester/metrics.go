package ingester

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

type metrics struct {
	replay        prometheus.Gauge
	replayed      prometheus.Counter
	damaged       prometheus.Counter
	flushDuration prometheus.Histogram
	flushFailures prometheus.Counter
	blocks        prometheus.Counter
	shipDuration  prometheus.Histogram
	shipFailures  prometheus.Counter
	shippedBytes  prometheus.Counter
	walRecords    prometheus.Counter
	walBytes      prometheus.Counter
	walSync       prometheus.Histogram
	walBroken     prometheus.Counter
	damagedBlocks prometheus.Counter
	refused       *prometheus.CounterVec
	dropped       *prometheus.CounterVec
}

// gauges show how things stand with an ingester.
func gauges(reg prometheus.Registerer, i *Ingester) {
	gauge := func(name, help string, get func(db.HeadStats, int) int64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return float64(get(i.stats()))
		}))
	}
	gauge("hearth_ingester_head_bytes", "Memory of all heads.", func(s db.HeadStats, _ int) int64 { return s.Bytes })
	gauge("hearth_ingester_head_series", "Series in all heads.", func(s db.HeadStats, _ int) int64 { return s.Series })
	gauge("hearth_ingester_head_profiles", "Profiles in all heads.", func(s db.HeadStats, _ int) int64 { return s.Profiles })
	gauge("hearth_ingester_tenants", "Tenants with an open database.", func(_ db.HeadStats, n int) int64 { return int64(n) })

	gauge("hearth_ingester_log_bytes", "Size of all write-ahead logs on the disk.", func(s db.HeadStats, _ int) int64 { return s.LogBytes })
	limits := i.budget.Limits()
	gauge("hearth_ingester_head_limit_bytes", "Memory that all heads together may use (-db.head-max-bytes).", func(db.HeadStats, int) int64 { return limits.Bytes })
	gauge("hearth_ingester_head_tenant_limit_bytes", "Memory that the heads of one tenant may use (-db.head-max-tenant-bytes).", func(db.HeadStats, int) int64 { return limits.TenantBytes })

	disk := func(name, help string, get func(space vfs.Space, low, refusing bool) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return get(i.disk.state()) }))
	}
	yes := map[bool]float64{true: 1}
	disk("hearth_ingester_disk_free_bytes", "Free space of the disk of -db.data-path.", func(s vfs.Space, _, _ bool) float64 { return float64(s.Free) })
	disk("hearth_ingester_disk_size_bytes", "Size of the disk of -db.data-path.", func(s vfs.Space, _, _ bool) float64 { return float64(s.Total) })
	disk("hearth_ingester_disk_low", "1 while the disk has less free than -db.min-free-bytes and -db.min-free-percent ask for.", func(_ vfs.Space, low, _ bool) float64 { return yes[low] })
	disk("hearth_ingester_disk_refusing", "1 while pushes are refused because the disk is nearly full.", func(_ vfs.Space, _, refusing bool) float64 { return yes[refusing] })
}

func newMetrics(reg prometheus.Registerer, i *Ingester) *metrics {
	gauges(reg, i)
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		reg.MustRegister(h)
		return h
	}
	vec := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"reason"})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		damagedBlocks: counter("hearth_ingester_damaged_blocks_total", "Local blocks that were found damaged and set aside."),
		refused:       vec("hearth_ingester_refused_profiles_total", "Profiles refused for want of room, to be sent again: head_full or disk_low."),
		dropped:       vec("hearth_ingester_local_blocks_removed_total", "Local blocks removed after they were shipped: for retention or because the disk was low (disk)."),
		replay:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "hearth_ingester_replay_seconds", Help: "Time that opening the databases took at start, write-ahead logs included."}),
		replayed:      counter("hearth_ingester_replayed_records_total", "Log records read when databases were opened."),
		damaged:       counter("hearth_ingester_damaged_records_total", "Log records that could not be used when databases were opened."),
		flushDuration: histogram("hearth_ingester_flush_duration_seconds", "Time to make blocks of a head.", prometheus.ExponentialBuckets(0.01, 3, 10)),
		flushFailures: counter("hearth_ingester_flush_failures_total", "Heads that could not be written as blocks; they are tried again."),
		blocks:        counter("hearth_ingester_blocks_written_total", "Blocks made of heads."),
		shipDuration:  histogram("hearth_ingester_ship_duration_seconds", "Time to ship a block.", prometheus.ExponentialBuckets(0.01, 3, 10)),
		shipFailures:  counter("hearth_ingester_ship_failures_total", "Blocks that could not be shipped; they are tried again."),
		shippedBytes:  counter("hearth_ingester_shipped_bytes_total", "Bytes of the blocks that were shipped."),
		walRecords:    counter("hearth_ingester_wal_records_total", "Records written to write-ahead logs."),
		walBytes:      counter("hearth_ingester_wal_bytes_total", "Bytes written to write-ahead logs."),
		walSync:       histogram("hearth_ingester_wal_sync_seconds", "Time of an fsync of a write-ahead log.", prometheus.ExponentialBuckets(0.0001, 3, 10)),
		walBroken:     counter("hearth_ingester_wal_failures_total", "Write-ahead logs that failed."),
	}
	reg.MustRegister(m.replay)
	return m
}

// events turns what a database reports into metrics and log lines.
func (m *metrics) events(logger *slog.Logger) db.Events {
	return db.Events{
		Replayed: func(r db.Replay) {
			m.replayed.Add(float64(r.Log.Records))
			m.damaged.Add(float64(r.Log.Corrupt) + float64(r.Refused))
			logger.Info("log replayed", "head", r.Head, "records", r.Log.Records, "bytes", r.Log.Bytes, "torn_bytes", r.Log.TornBytes, "took", r.Took)
		},
		Flushed: func(f db.Flush) {
			m.flushDuration.Observe(f.Took.Seconds())
			m.blocks.Add(float64(len(f.Blocks)))
			logger.Info("head cut", "head", f.Head, "blocks", len(f.Blocks), "took", f.Took)
		},
		SetAside: func(db.SetAside) { m.damagedBlocks.Inc() },
		WAL: wal.Events{
			Committed: func(c wal.Commit) {
				m.walRecords.Add(float64(c.Records))
				m.walBytes.Add(float64(c.Bytes))
			},
			Synced: func(took time.Duration) { m.walSync.Observe(took.Seconds()) },
			Broken: func(err error) {
				m.walBroken.Inc()
				logger.Error("write-ahead log failed; the head is cut and a new log begun", "err", err)
			},
		},
	}
}
