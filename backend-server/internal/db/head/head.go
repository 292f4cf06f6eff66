package head

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	tsdb "github.com/prometheus/prometheus/tsdb/index"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Log is the write-ahead log a head writes to; a *wal.Log is one.
type Log interface {
	Enqueue(payload []byte) (wal.Ticket, error)
	Wait(ctx context.Context, t wal.Ticket) error
	Last() wal.Ticket
}

// Head is the newest profiles of one tenant. It is safe for concurrent use.
type Head struct {
	id ulid.ULID
	// source is the database that the head is part of, see query.Origin.
	source ulid.ULID
	sealed atomic.Bool
	log    Log

	postings *tsdb.MemPostings // of indices into mu.series, plus one

	// mu guards the lists of partitions and series. It is taken after a
	// partition's lock, never before.
	mu struct {
		sync.RWMutex
		byName     map[string]*partition
		partitions []*partition
		series     []query.Series
	}

	profiles, rows   atomic.Int64
	bytes            atomic.Int64 // of the partitions
	minTime, maxTime atomic.Int64
	saturated        atomic.Int64
	appenders        sync.Pool
	replay           replayMemory
}

// New returns an empty head. Records are logged to log, which the caller owns;
// it may be nil for a head that is only replayed and read.
func New(id ulid.ULID, log Log) *Head {
	h := &Head{id: id, log: log, postings: tsdb.NewMemPostings()}
	h.mu.byName = map[string]*partition{}
	h.minTime.Store(math.MaxInt64)
	h.maxTime.Store(math.MinInt64)
	h.appenders.New = func() any { return new(appender) }
	return h
}

// ID identifies the head.
func (h *Head) ID() ulid.ULID { return h.id }

// Created is when the head was made; replaying does not change it.
func (h *Head) Created() time.Time { return ulid.Time(h.id.Time()) }

// SetLog gives a replayed head the log that new records go to. Append must
// not run yet.
func (h *Head) SetLog(log Log) { h.log = log }

// SetSource says which database the head is part of. It is called before the
// head is used.
func (h *Head) SetSource(id ulid.ULID) { h.source = id }

// Growing reports whether rows may still be added.
func (h *Head) Growing() bool { return !h.sealed.Load() }

// Seal gives back the memory that only Append needs. It is for a head that is
// being cut, when another one begins to grow beside it.
func (h *Head) Seal() {
	h.mu.RLock()
	partitions := h.mu.partitions
	h.mu.RUnlock()
	h.sealed.Store(true)
	for _, p := range partitions {
		p.mu.Lock()
		p.in.Release()
		h.account(p)
		p.mu.Unlock()
	}
}

// account brings h.bytes up to date with a partition. The caller holds p.mu.
func (h *Head) account(p *partition) {
	size := p.size()
	h.bytes.Add(size - p.accounted)
	p.accounted = size
}

// Stats are sizes of a head.
type Stats struct {
	Bytes    int64 // memory for rows and symbols, estimated
	Series   int64
	Profiles int64
	Rows     int64
	// Saturated counts sums within a profile that were clipped at the largest
	// 64-bit value.
	Saturated int64
}

// seriesOverhead is the memory of a row series: its labels, and their place in
// the postings.
const seriesOverhead = 512

// Stats returns the head's sizes as they stand.
func (h *Head) Stats() Stats {
	h.mu.RLock()
	series := int64(len(h.mu.series))
	h.mu.RUnlock()
	return Stats{
		Bytes:     h.bytes.Load() + series*seriesOverhead,
		Series:    series,
		Profiles:  h.profiles.Load(),
		Rows:      h.rows.Load(),
		Saturated: h.saturated.Load(),
	}
}

// Empty reports whether the head holds no profile.
func (h *Head) Empty() bool { return h.rows.Load() == 0 }

// TimeRange implements query.Queryable.
func (h *Head) TimeRange() profile.TimeRange {
	return profile.TimeRange{Start: profile.UnixMilli(h.minTime.Load()), End: profile.UnixMilli(h.maxTime.Load())}
}

// Origin implements query.Queryable.
func (h *Head) Origin() query.Origin { return query.Origin{ID: h.id, Source: h.source} }

// Has reports whether the head holds the profile with this key (see Key) of
// the service.
func (h *Head) Has(service string, key uint64) bool {
	h.mu.RLock()
	p := h.mu.byName[service]
	h.mu.RUnlock()
	return p != nil && p.has(key)
}

// partition returns the partition of a service, which it makes if need be.
func (h *Head) partition(service string) *partition {
	h.mu.RLock()
	p := h.mu.byName[service]
	h.mu.RUnlock()
	if p != nil {
		return p
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.mu.byName[service]; p != nil {
		return p
	}
	p = newPartition(service, uint32(len(h.mu.partitions)))
	h.mu.byName[service] = p
	h.mu.partitions = append(h.mu.partitions, p)
	return p
}

// addSeries makes a row series visible to Select.
func (h *Head) addSeries(p *partition, s *rowSeries) {
	h.addOneSeries(query.Series{Labels: s.base, Partition: p.index, Rows: s.index})
	if s.hasScaled() {
		h.addOneSeries(query.Series{Labels: s.scaled, Partition: p.index, Rows: s.index, Scaled: true})
	}
}

// addOneSeries adds to list and postings in one go: were references to come to
// the postings out of order, those would be sorted under the eyes of readers.
func (h *Head) addOneSeries(s query.Series) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.series = append(h.mu.series, s)
	ref := storage.SeriesRef(len(h.mu.series)) // 0 is no reference: merging postings skips it
	h.postings.Add(ref, s.Labels)
}

func (h *Head) widen(t profile.UnixMilli) {
	for low := h.minTime.Load(); int64(t) < low && !h.minTime.CompareAndSwap(low, int64(t)); low = h.minTime.Load() {
	}
	for high := h.maxTime.Load(); int64(t) > high && !h.maxTime.CompareAndSwap(high, int64(t)); high = h.maxTime.Load() {
	}
}

// emptyLabels is what a row series without a scaled type has for it.
var emptyLabels = labels.EmptyLabels()
