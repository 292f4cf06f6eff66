package head

import (
	"encoding/binary"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Replay adds what a log record holds, as Append once did. Records are given
// in the log's order; Replay and Append must not run at the same time. A record
// whose series were defined in a record that is lost is Corrupt, as is one that
// cannot be read: it then leaves no rows, and the next record can be replayed.
func (h *Head) Replay(record []byte) error {
	r := reader{b: record, m: &h.replay}
	if v := r.byte(); r.err == nil && v != recordVersion {
		return fault.New(fault.Corrupt, "head record: version %d; this program reads %d", v, recordVersion)
	}
	p := h.partition(r.text())
	if r.err != nil {
		return r.err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	rest, err := p.in.ReplayTail(r.b)
	p.logged = p.in.Mark()
	if err != nil {
		return err
	}
	r.b = rest
	key := r.uint64()
	t := profile.UnixMilli(r.varint())
	rows, added := r.rows(p, key, t)
	// Definitions count even if the rows do not: later records rely on them.
	for _, s := range added {
		h.addSeries(p, s)
	}
	if r.err != nil {
		return r.err
	}
	if _, known := p.ids[key]; known {
		return nil
	}
	h.publish(p, key, t, rows)
	return nil
}

// replayMemory is reused from record to record.
type replayMemory struct {
	rows   []newRow
	added  []*rowSeries
	stacks []uint32
	values []int64
	spans  []query.SpanSample
}

// reader reads the parts of a record until the first fault, after which it
// returns zeros and keeps the fault.
type reader struct {
	b   []byte
	m   *replayMemory
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "head record: "+format, args...)
	}
	r.b = nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("%d bytes where %d are left", n, len(r.b))
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("cut off or overlong number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("cut off or overlong number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.take(r.uvarint())) }

// rows reads the rows. The second result are the series defined among them.
func (r *reader) rows(p *partition, key uint64, t profile.UnixMilli) ([]newRow, []*rowSeries) {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("%d rows in %d bytes", n, len(r.b))
	}
	rows, added := r.m.rows[:0], r.m.added[:0]
	for range n {
		s := r.series(p)
		if s == nil || r.err != nil {
			break
		}
		if !s.logged {
			s.logged = true
			added = append(added, s)
		}
		rows = append(rows, newRow{series: s, row: r.row(p, s, key, t)})
	}
	r.m.rows, r.m.added = rows, added
	return rows, added
}

// series reads which row series a row belongs to, and its definition if it is
// there. A series not seen before is not marked as logged.
func (r *reader) series(p *partition) *rowSeries {
	index := r.uvarint()
	if r.byte() == 0 {
		if index >= uint64(len(p.series)) || !p.series[index].logged {
			r.fail("series %d of %q was defined in a record that is lost", index, p.name)
			return nil
		}
		return p.series[index]
	}
	if index > uint64(len(p.series))+maxSeriesGap {
		r.fail("series %d of %q, where %d are known", index, p.name, len(p.series))
	}
	lset, types := r.definition()
	if r.err != nil {
		return nil
	}
	for uint64(len(p.series)) < index {
		p.series = append(p.series, &rowSeries{index: uint32(len(p.series)), scaled: emptyLabels})
	}
	s := p.find(lset.Hash(), lset, types[0], types[1], types[2])
	if uint64(s.index) != index {
		r.fail("series %d of %q is defined again as series %d", s.index, p.name, index)
		return nil
	}
	return s
}

// maxSeriesGap bounds how many series lost records may be taken to have
// defined.
const maxSeriesGap = 1 << 20

func (r *reader) definition() (labels.Labels, [3]profile.ValueType) {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("%d labels in %d bytes", n, len(r.b))
		n = 0
	}
	b := labels.NewScratchBuilder(int(n))
	for range n {
		name, value := r.text(), r.text()
		b.Add(name, value)
	}
	var types [3]profile.ValueType
	for i := range types {
		types[i] = profile.ValueType{Type: r.text(), Unit: r.text()}
	}
	return b.Labels(), types
}

func (r *reader) row(p *partition, s *rowSeries, key uint64, t profile.UnixMilli) row {
	out := row{time: t, id: key, unit: int64(r.uvarint())}
	n := r.uvarint()
	out.data = r.take(r.uvarint())
	out.spans = r.take(r.uvarint())
	if r.err != nil {
		return out
	}
	r.samples(&out, uint32(len(p.in.View().Stacks)))
	if uint64(out.n) != n {
		r.fail("row with %d samples where %d are said", out.n, n)
	}
	if _, clipped := profile.MulSaturating(out.total, out.unit); out.unit < 1 || s.hasScaled() && clipped {
		r.fail("row with a total of %d and unit %d", out.total, out.unit)
	}
	return out
}

// samples checks (H2) and counts the samples of a row. known is the number of
// stacks there are.
func (r *reader) samples(out *row, known uint32) {
	var err error
	m := r.m
	if m.stacks, m.values, err = decodeSamples(out.data, m.stacks[:0], m.values[:0]); err != nil {
		r.fail("samples: %v", err)
		return
	}
	out.n = uint32(len(m.stacks))
	for i, stack := range m.stacks {
		if stack >= known || i > 0 && stack <= m.stacks[i-1] || m.values[i] < 1 {
			r.fail("stack %d of %d with value %d", stack, known, m.values[i])
			return
		}
		out.total, _ = profile.AddSaturating(out.total, m.values[i])
	}
	if m.spans, err = decodeSpans(out.spans, m.spans[:0]); err != nil {
		r.fail("span samples: %v", err)
		return
	}
	for i := range m.spans {
		at, found := slices.BinarySearch(m.stacks, m.spans[i].Stack)
		if v := m.spans[i].Value; !found || v < 1 || v > m.values[at] {
			r.fail("span sample of stack %d with value %d", m.spans[i].Stack, v)
			return
		}
	}
}
