package head

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// partition is the profiles of one service.
type partition struct {
	name  string
	index uint32

	mu     sync.Mutex // guards all below
	in     *symbols.Interner
	logged symbols.Mark // what the log holds of the symbols
	series []*rowSeries
	groups []*group
	byHash map[uint64][]*rowSeries
	ids    keySet // keys of the profiles held
	arena  arena

	rowBytes     int64  // of the lists of rows
	counterBytes int64  // of the totals of counters
	accounted    int64  // what Head.bytes has of this partition
	difference   []byte // memory for count
}

func newPartition(name string, index uint32) *partition {
	in := symbols.NewLogged()
	return &partition{name: name, index: index, in: in, logged: in.Mark(), byHash: map[uint64][]*rowSeries{}}
}

// seriesKey is what tells the row series of a partition apart.
type seriesKey struct {
	labels         labels.Labels     // without the labels of the profile type
	column, scaleT profile.ValueType // scaleT is zero if there is no scaled type
	period         profile.ValueType
	counter        bool // see isCounter
}

func (k *seriesKey) equal(o *seriesKey) bool {
	return k.column == o.column && k.scaleT == o.scaleT && k.period == o.period && k.counter == o.counter && labels.Equal(k.labels, o.labels)
}

// rowSeries is the rows of one series for one sample type, or for two of which
// the second is a multiple of the first.
type rowSeries struct {
	index  uint32
	logged bool // whether the log knows the series

	seriesKey
	base, scaled labels.Labels // with the labels of the profile type
	rows         []keptRow
	units        []int64  // of the rows, in order; a new one where it changes
	since        []uint32 // of the rows of a counter, see row
	group        *group   // nil before the first row
	totals       totals   // of a counter
}

// row is one profile. data and spans are never written again. since is, of a
// counter, how many milliseconds before it the totals are of that it is compared
// with; 0 where those are more than 2^32.
type row struct {
	time  profile.UnixMilli
	id    uint64
	total int64
	unit  int64
	n     uint32
	since uint32
	data  []byte
	spans []byte
}

// keptRow is a row as a series keeps it.
type keptRow struct {
	time  profile.UnixMilli
	id    uint64
	total int64
	at    spot   // of the samples and spans in the arena
	n     uint32 // number of samples
	unit  uint32 // index into rowSeries.units
}

const keptRowBytes = 40

// add makes a row visible. The caller holds p.mu.
func (p *partition) add(s *rowSeries, r *row) {
	at := p.arena.place(r.data, r.spans)
	if n := len(s.units); n == 0 || s.units[n-1] != r.unit {
		s.units = append(s.units, r.unit)
	}
	before := cap(s.rows)
	s.rows = append(s.rows, keptRow{r.time, r.id, r.total, at, r.n, uint32(len(s.units) - 1)})
	p.rowBytes += int64(cap(s.rows)-before) * keptRowBytes
	if s.counter {
		before := cap(s.since)
		s.since = append(s.since, r.since)
		p.rowBytes += int64(cap(s.since)-before) * 4
	}
	r.data, r.spans = placed(p.arena.chunks, at)
	p.published(s, r)
}

// rows is the rows of a series at some moment. It may be read without a lock.
type rows struct {
	list   []keptRow
	units  []int64
	since  []uint32
	chunks [][]byte
}

// rows returns the rows of a series. The caller holds p.mu.
func (p *partition) rows(s *rowSeries) rows { return rows{s.rows, s.units, s.since, p.arena.chunks} }

// at returns a row without its samples and spans.
func (r *rows) at(i int) row {
	k := &r.list[i]
	out := row{time: k.time, id: k.id, total: k.total, unit: r.units[k.unit], n: k.n}
	if len(r.since) > 0 {
		out.since = r.since[i]
	}
	return out
}

// whole returns a row.
func (r *rows) whole(i int) row {
	out := r.at(i)
	out.data, out.spans = placed(r.chunks, r.list[i].at)
	return out
}

// has reports whether the partition holds the profile with this key.
func (p *partition) has(key uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ids.has(key)
}

// size estimates the memory of the partition but for its series. The caller
// holds p.mu.
func (p *partition) size() int64 {
	return p.in.Bytes() + p.sumBytes() + p.ids.bytes() + p.arena.bytes + p.rowBytes + p.counterBytes + int64(cap(p.difference))
}

func (s *rowSeries) hasScaled() bool { return s.scaleT != profile.ValueType{} }

// find returns the row series for a key, which it makes if need be. The caller
// holds p.mu.
func (p *partition) find(k seriesKey) *rowSeries {
	s := p.lookUp(&k)
	if s == nil {
		s = p.newSeries()
		p.define(s, k)
	}
	return s
}

// lookUp returns the row series for a key, or nil. The caller holds p.mu.
func (p *partition) lookUp(k *seriesKey) *rowSeries {
	for _, s := range p.byHash[k.labels.Hash()] {
		if s.equal(k) {
			return s
		}
	}
	return nil
}

// newSeries adds a row series of which nothing is known but its place.
func (p *partition) newSeries() *rowSeries {
	s := &rowSeries{index: uint32(len(p.series)), scaled: emptyLabels}
	p.series = append(p.series, s)
	return s
}

// define says what a new row series is.
func (p *partition) define(s *rowSeries, k seriesKey) {
	k.column, k.scaleT, k.period = clone(k.column), clone(k.scaleT), clone(k.period)
	s.seriesKey = k
	s.base = profile.TypeLabels(k.labels, k.column, k.period)
	if s.hasScaled() {
		s.scaled = profile.TypeLabels(k.labels, k.scaleT, k.period)
	}
	hash := k.labels.Hash()
	p.byHash[hash] = append(p.byHash[hash], s)
}
