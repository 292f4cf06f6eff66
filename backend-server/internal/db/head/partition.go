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
	ids    map[uint64]struct{} // keys of the profiles held
	// accounted is what Head.symbolBytes has of this partition.
	accounted int64
	chunk     []byte // rows are cut from it; see place
}

func newPartition(name string, index uint32) *partition {
	in := symbols.NewLogged()
	return &partition{name: name, index: index, in: in, logged: in.Mark(), byHash: map[uint64][]*rowSeries{}, ids: map[uint64]struct{}{}}
}

// rowSeries is the rows of one series for one sample type, or for two of which
// the second is a multiple of the first.
type rowSeries struct {
	index  uint32
	logged bool // whether the log knows the series

	labels         labels.Labels // without the labels of the profile type
	column, scaleT profile.ValueType
	period         profile.ValueType
	base, scaled   labels.Labels // with them
	rows           []row
	group          *group // nil before the first row
}

// row is one profile. data and spans are never written again.
type row struct {
	time  profile.UnixMilli
	id    uint64
	total int64
	unit  int64
	n     uint32
	data  []byte
	spans []byte
}

func (s *rowSeries) hasScaled() bool { return s.scaleT != profile.ValueType{} }

// find returns the row series for the arguments, which it makes if need be.
// scaled is the zero ValueType if there is no scaled type. The caller holds
// p.mu.
func (p *partition) find(hash uint64, lset labels.Labels, column, scaled, period profile.ValueType) *rowSeries {
	for _, s := range p.byHash[hash] {
		if s.column == column && s.scaleT == scaled && s.period == period && labels.Equal(s.labels, lset) {
			return s
		}
	}
	s := &rowSeries{index: uint32(len(p.series)), labels: lset, column: clone(column), scaleT: clone(scaled), period: clone(period), scaled: emptyLabels}
	s.base = profile.TypeLabels(lset, s.column, s.period)
	if s.hasScaled() {
		s.scaled = profile.TypeLabels(lset, s.scaleT, s.period)
	}
	p.series = append(p.series, s)
	p.byHash[hash] = append(p.byHash[hash], s)
	return s
}

const (
	firstChunk = 1 << 10
	lastChunk  = 64 << 10
)

// place copies b to memory that is never written again.
func (p *partition) place(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(b) > lastChunk/4 {
		return append([]byte(nil), b...)
	}
	if cap(p.chunk)-len(p.chunk) < len(b) {
		size := min(max(2*cap(p.chunk), firstChunk), lastChunk)
		p.chunk = make([]byte, 0, max(size, len(b)))
	}
	at := len(p.chunk)
	p.chunk = append(p.chunk, b...)
	return p.chunk[at:len(p.chunk):len(p.chunk)]
}
