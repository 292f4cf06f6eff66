package distributor

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// Ingester stores records. Push returns nil, or an error or nil for each
// record; what has no error is durable. It keeps nothing of the records.
type Ingester interface {
	Push(ctx context.Context, tenantID string, recs []profile.Record) []error
}

// sink is where records go. It calls free once when nobody uses them and their
// profiles any more, which may be after push has returned (D3).
type sink interface {
	push(ctx context.Context, tenantID string, recs []profile.Record, free func()) []error
}

// alone is an ingester in the same process that keeps everything.
type alone struct{ Ingester }

func (a alone) push(ctx context.Context, tenantID string, recs []profile.Record, free func()) []error {
	defer free()
	return a.Push(ctx, tenantID, recs)
}

// Distributor is the role. It may be used by many goroutines.
type Distributor struct {
	limits   Limits
	sink     sink
	outlives bool // sink uses records after push has returned
	metrics  *metrics
	logger   *slog.Logger
	rates    *rates
	decoders sync.Pool // of *pprof.Decoder
	now      func() time.Time
}

// New returns a distributor in front of the one ingester that keeps everything.
func New(cfg Config, limits Limits, ing Ingester, reg prometheus.Registerer, logger *slog.Logger) *Distributor {
	return newDistributor(cfg, limits, alone{ing}, nil, reg, logger)
}

// NewReplicated returns a distributor in front of the ingesters of a ring.
// sharers tells how many distributors there are, among which the tenants' rates
// are shared; nil means that each may let pass the whole rate.
func NewReplicated(cfg Config, limits Limits, r *Replicas, sharers func() int, reg prometheus.Registerer, logger *slog.Logger) *Distributor {
	d := newDistributor(cfg, limits, r, sharers, reg, logger)
	d.outlives = true
	return d
}

func newDistributor(cfg Config, limits Limits, to sink, sharers func() int, reg prometheus.Registerer, logger *slog.Logger) *Distributor {
	return &Distributor{
		limits: limits, sink: to, metrics: newMetrics(reg), logger: logger, rates: newRates(cfg, sharers),
		decoders: sync.Pool{New: func() any { return new(pprof.Decoder) }},
		now:      time.Now,
	}
}

// Push takes in the profiles of the tenant of ctx. The error is about the whole
// upload, of which nothing was stored then; what is wrong with single profiles
// is in the result.
func (d *Distributor) Push(ctx context.Context, series []upload.Series) (_ upload.Result, err error) {
	ctx, span := tracing.Start(ctx, "distributor: push")
	defer func() { span.End(err) }()
	tenantID, err := tenant.From(ctx)
	if err != nil {
		return upload.Result{}, err
	}
	profiles, bytes := 0, 0
	for _, s := range series {
		profiles += len(s.Profiles)
		for _, p := range s.Profiles {
			bytes += len(p.Data)
		}
	}
	if len(series) == 0 {
		return upload.Result{}, fault.Reason(fault.Invalid, "missing_labels", "the request has no series")
	}
	now := d.now()
	if err := d.rates.take(tenantID, bytes, now); err != nil {
		d.metrics.discarded.WithLabelValues(fault.ReasonOf(err)).Add(float64(profiles))
		return upload.Result{}, err
	}
	b := &batch{d: d, ctx: ctx, tenantID: tenantID, now: now}
	b.result.Received = profiles
	for i, s := range series {
		b.series(i, s)
	}
	b.send()
	for _, r := range b.result.Refused {
		d.logger.Debug("profile refused", "tenant", tenantID, "series", r.Labels, "error", r.Err)
	}
	return b.result, nil
}

// A batch collects the records of an upload and sends them to the sink,
// again and again when they grow too many.
type batch struct {
	d        *Distributor
	ctx      context.Context
	tenantID string
	now      time.Time
	result   upload.Result

	decoders []*pprof.Decoder
	recs     []profile.Record
	pending  []pending
	bytes    int
}

// place is where in the upload a profile is.
type place struct {
	series, profile int
	labels          []profile.LabelPair // as sent
}

// pending is a profile whose records wait to be sent.
type pending struct {
	place
	from int // its first record
}

// Bounds of what waits in a batch: profiles, and their bytes decompressed.
const (
	maxPending      = 256
	maxPendingBytes = 64 << 20
)

// series adds all profiles of a series.
func (b *batch) series(index int, s upload.Series) {
	at := place{index, upload.All, s.Labels}
	ls, err := seriesLabels(s.Labels, &b.d.limits, s.Name != nil)
	if err == nil && len(s.Profiles) == 0 {
		err = fault.Reason(fault.Invalid, "malformed_profile", "the series has no samples")
	}
	if err != nil {
		b.refuse(at, err, max(1, len(s.Profiles)))
		return
	}
	for i, p := range s.Profiles {
		at.profile = i
		if err := b.profile(at, ls, s.Name, p); err != nil {
			b.refuse(at, err, 1)
		}
		if len(b.pending) >= maxPending || b.bytes >= maxPendingBytes {
			b.send()
		}
	}
}

func (b *batch) refuse(at place, err error, profiles int) {
	b.d.metrics.discarded.WithLabelValues(fault.ReasonOf(err)).Add(float64(profiles))
	b.result.Refused = append(b.result.Refused, upload.Refusal{Series: at.series, Profile: at.profile, Labels: describe(at.labels), Err: err})
}

// profile decodes one profile and adds its records.
func (b *batch) profile(at place, ls []profile.LabelPair, name func([]profile.ValueType) string, raw upload.Profile) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if b.d.outlives && !pprof.IsGzip(raw.Data) {
		raw.Data = bytes.Clone(raw.Data) // the profile's strings lie in it
	}
	dec := b.d.decoders.Get().(*pprof.Decoder)
	p, id, ls, err := b.decode(dec, ls, name, raw)
	if err != nil {
		b.d.release(dec)
		return err
	}
	b.decoders = append(b.decoders, dec)
	b.d.metrics.observe(ls, p, len(raw.Data), len(dec.Plain()))
	b.bytes += len(dec.Plain())
	b.pending = append(b.pending, pending{at, len(b.recs)})
	b.records(ls, p, id)
	return nil
}

// decode decodes a profile and finds out all that its records have in common.
func (b *batch) decode(dec *pprof.Decoder, ls []profile.LabelPair, name func([]profile.ValueType) string, raw upload.Profile) (*profile.Profile, identity, []profile.LabelPair, error) {
	p, err := dec.Decode(raw.Data, b.d.limits.decoding())
	if err != nil {
		return nil, identity{}, nil, err
	}
	if err := checkTypes(p.Types); err != nil {
		return nil, identity{}, nil, err
	}
	if name != nil && !hasName(ls) {
		if ls, err = named(ls, name(p.Types), &b.d.limits); err != nil {
			return nil, identity{}, nil, err
		}
	}
	id, err := b.identify(p, raw, dec.Plain())
	return p, id, ls, err
}

// release puts a decoder whose profile is no longer used back into the pool.
func (d *Distributor) release(dec *pprof.Decoder) {
	dec.Reset()
	d.decoders.Put(dec)
}

// identify fixes the time of a profile, checks it, and begins its identity.
func (b *batch) identify(p *profile.Profile, raw upload.Profile, plain []byte) (identity, error) {
	id := identity{tenantID: b.tenantID, clientID: raw.ID, time: profile.UnixMilli(p.TimeNanos / int64(time.Millisecond))}
	if raw.Time > 0 && p.TimeNanos < firstPlausible {
		id.time = raw.Time
	} else if p.TimeNanos <= 0 {
		id.time, id.random = profile.UnixMilli(b.now.UnixMilli()), true
	}
	if err := checkWindow(id.time, b.now, &b.d.limits); err != nil {
		return id, err
	}
	if !id.random {
		id.content = hashBytes(plain)
	}
	return id, nil
}

// records adds a record for each series that p has samples of.
func (b *batch) records(ls []profile.LabelPair, p *profile.Profile, id identity) {
	series := b.d.sampleSeries(toLabels(ls), p)
	for start := 0; start < len(p.Samples); {
		group := p.Samples[start].Group
		end := start + 1
		for end < len(p.Samples) && p.Samples[end].Group == group {
			end++
		}
		rec := profile.Record{Labels: series[group], Time: id.time, Profile: p, SampleStart: start, SampleEnd: end}
		if id.random {
			rec.ID = rand.Uint64()
		} else {
			rec.ID = id.of(rec.Labels, group)
		}
		b.recs = append(b.recs, rec)
		start = end
	}
}

// send hands what has been collected to the sink and notes the outcome.
func (b *batch) send() {
	var errs []error
	decoders := b.decoders
	free := func() {
		for _, dec := range decoders {
			b.d.release(dec)
		}
	}
	if len(b.recs) > 0 {
		errs = b.d.sink.push(b.ctx, b.tenantID, b.recs, free)
	} else {
		free()
	}
	for i, p := range b.pending {
		end := len(b.recs)
		if i+1 < len(b.pending) {
			end = b.pending[i+1].from
		}
		if err := firstError(errs, p.from, end); err != nil {
			b.refuse(p.place, err, 1)
			continue
		}
		b.result.Stored++
	}
	// Records and decoders may be in use still: they belong to the sink.
	b.decoders, b.recs, b.pending, b.bytes = nil, nil, b.pending[:0], 0
}

func firstError(errs []error, from, to int) error {
	for i := from; i < to && i < len(errs); i++ {
		if errs[i] != nil {
			return errs[i]
		}
	}
	return nil
}
