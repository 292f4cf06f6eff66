package distributor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// Ring knows which ingesters keep a series; *cluster.Ring is one.
type Ring interface {
	Write(ctx context.Context, b cluster.Batch) []error
}

// Remote pushes to ingesters of other processes: of batch, the records with
// these indices. It returns nil, or an error or nil for each of items, and then
// has no more use for batch.
type Remote interface {
	Push(ctx context.Context, to *cluster.Peer, tenantID string, batch *flat.Batch, items []int) []error
}

// ReplicasDeps are what Replicas work with.
type ReplicasDeps struct {
	Ring       Ring
	ID         string   // of this process on the ring
	Local      Ingester // that of this process; nil if it has none
	Remote     Remote
	Registerer prometheus.Registerer
}

// Replicas stores records on the ingesters of a ring. It may be used by many
// goroutines.
type Replicas struct {
	deps    ReplicasDeps
	timeout time.Duration
	metrics *replicaMetrics
	batches sync.Pool // of *flat.Batch

	held  atomic.Int64 // bytes of batches that are still being sent
	local atomic.Int64 // bytes of which the local ingester has
}

// Bounds of what goes on in the background, in bytes as encoded: of all
// ingesters, and of that of this process, which does not go through Remote and
// holds decoders, several times as large. The last push may exceed them.
const (
	maxHeld  = 256 << 20
	maxLocal = 16 << 20
)

// heldRetry is when a client should come again that was refused for maxHeld.
const heldRetry = time.Second

// NewReplicas returns what stores records on a quorum of the ingesters that keep
// them.
func NewReplicas(cfg Config, deps ReplicasDeps) *Replicas {
	r := &Replicas{deps: deps, timeout: cfg.PushTimeout, batches: sync.Pool{New: func() any { return new(flat.Batch) }}}
	r.metrics = newReplicaMetrics(deps.Registerer, func() float64 { return float64(r.held.Load()) })
	return r
}

// push implements sink.
func (r *Replicas) push(ctx context.Context, tenantID string, recs []profile.Record, free func()) []error {
	if held := r.held.Load(); held >= maxHeld {
		free()
		return slices.Repeat([]error{&upload.RetryError{After: heldRetry, Err: fault.Reason(fault.Exhausted, "replicas_behind",
			"%d bytes of profiles are still being sent to ingesters; limit %d; try again in %s", held, maxHeld, heldRetry)}}, len(recs))
	}
	start := time.Now()
	w := &spreading{r: r, tenantID: tenantID, recs: recs, free: free, batch: r.batches.Get().(*flat.Batch)}
	w.batch.Encode(recs)
	size := int64(w.batch.Size())
	r.held.Add(size)
	hashes := make([]uint64, len(recs))
	for i := range recs {
		hashes[i] = labels.StableHash(recs[i].Labels)
	}
	errs := r.deps.Ring.Write(ctx, cluster.Batch{
		Tenant: tenantID, Hashes: hashes, Timeout: r.timeout, Send: w.send,
		Done: func() {
			w.seal()
			w.batch.Reset()
			r.batches.Put(w.batch)
			r.held.Add(-size)
		},
	})
	w.seal()
	r.metrics.quorum.Observe(time.Since(start).Seconds())
	return errs
}

// spreading is one push to replicas. The local ingester gets the records themselves,
// the others their encoding, which is there before anything is sent.
type spreading struct {
	r        *Replicas
	tenantID string
	batch    *flat.Batch

	// mu guards what follows against the local ingester's Send, which may begin
	// late. recs may be used as long as free was not called (D3).
	mu          sync.Mutex
	recs        []profile.Record
	free        func()
	used, freed bool
}

// seal frees the records unless the local ingester has them. If it comes only
// after that, it gets them decoded anew.
func (w *spreading) seal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.used {
		w.release()
	}
}

// release frees the records once. The caller holds w.mu.
func (w *spreading) release() {
	if !w.freed {
		w.freed = true
		w.recs = nil
		w.free()
	}
}

// send writes to one member of the ring.
func (w *spreading) send(ctx context.Context, to cluster.Peer, items []int) []error {
	m, where := w.r.metrics, "remote"
	var errs []error
	if to.Id == w.r.deps.ID && w.r.deps.Local != nil {
		where, errs = "local", w.sendLocal(ctx, items)
	} else {
		errs = w.r.deps.Remote.Push(ctx, &to, w.tenantID, w.batch, items)
	}
	failed := 0
	for i, err := range errs {
		if err != nil {
			errs[i] = attribute(&to, err)
			failed++
		}
	}
	m.records.WithLabelValues(where, "stored").Add(float64(len(items) - failed))
	m.records.WithLabelValues(where, "failed").Add(float64(failed))
	return errs
}

func (w *spreading) sendLocal(ctx context.Context, items []int) []error {
	size := int64(w.batch.MessageSize(items))
	defer w.r.local.Add(-size)
	if had := w.r.local.Add(size) - size; had >= maxLocal {
		return slices.Repeat([]error{fault.New(fault.Unavailable, "it does not keep up: %d bytes wait for it; limit %d", had, maxLocal)}, len(items))
	}
	w.mu.Lock()
	recs := w.recs
	w.used = !w.freed
	w.mu.Unlock()
	if recs == nil {
		return w.sendDecoded(ctx, items)
	}
	if len(items) < len(recs) {
		some := make([]profile.Record, len(items))
		for i, item := range items {
			some[i] = recs[item]
		}
		recs = some
	}
	errs := w.r.deps.Local.Push(ctx, w.tenantID, recs)
	w.mu.Lock()
	w.release()
	w.mu.Unlock()
	return slices.Clone(errs) // the ingester may keep one error for all
}

// sendDecoded is for a local ingester whose turn came after the quorum was
// reached without it.
func (w *spreading) sendDecoded(ctx context.Context, items []int) []error {
	var dec flat.Decoder
	recs, err := dec.Records(w.batch.Append(nil, items))
	if err != nil {
		return slices.Repeat([]error{fmt.Errorf("records decoded anew: %w", err)}, len(items))
	}
	return slices.Clone(w.r.deps.Local.Push(ctx, w.tenantID, recs))
}

// attribute says whose error it is. A member that is not well, or does not
// understand, says nothing about the record: others may store it.
func attribute(to *cluster.Peer, err error) error {
	err = fmt.Errorf("ingester %s: %w", to.Id, err)
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge, fault.Exhausted, fault.Unavailable:
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}

// replicaMetrics count what becomes of copies.
type replicaMetrics struct {
	records *prometheus.CounterVec
	quorum  prometheus.Histogram
}

func newReplicaMetrics(reg prometheus.Registerer, held func() float64) *replicaMetrics {
	m := &replicaMetrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hearth_distributor_replicas_total", Help: "Copies of profiles given to ingesters, by where those are (local or remote) and what became of them (stored or failed).",
		}, []string{"ingester", "outcome"}),
		quorum: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hearth_distributor_quorum_duration_seconds", Help: "Time until it was known of all profiles of a push whether a quorum of ingesters has them.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
	}
	reg.MustRegister(m.records, m.quorum, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hearth_distributor_held_bytes", Help: "Bytes of pushes that some ingester has not answered yet, acknowledged ones included.",
	}, held))
	return m
}
