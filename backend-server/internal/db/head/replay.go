package head

import (
	"encoding/binary"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Replay adds what a log record holds, as Append once did. Records are given
// in the log's order; Append must not run at the same time. A record whose
// series were defined in a record that is lost is Corrupt, as is one that
// cannot be read: it then leaves no rows, and the next record can be replayed.
func (h *Head) Replay(record []byte) error {
	r := reader{b: record}
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
	if r.err != nil {
		return r.err
	}
	for _, s := range added {
		h.addSeries(p, s)
	}
	if _, known := p.ids[key]; known {
		return nil
	}
	h.publish(p, key, t, rows)
	return nil
}

// reader reads the parts of a record until the first fault, after which it
// returns zeros and keeps the fault.
type reader struct {
	b   []byte
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

func (r *reader) rows(p *partition, key uint64, t profile.UnixMilli) (rows []newRow, added []*rowSeries) {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("%d rows in %d bytes", n, len(r.b))
	}
	for range n {
		if r.err != nil {
			return nil, added
		}
		s := r.series(p)
		if s == nil {
			return nil, added
		}
		if !s.logged {
			s.logged = true
			added = append(added, s)
		}
		rows = append(rows, newRow{series: s, row: r.row(p, key, t)})
	}
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

func (r *reader) row(p *partition, key uint64, t profile.UnixMilli) row {
	out := row{time: t, id: key, unit: int64(r.uvarint()), n: uint32(r.uvarint())}
	out.data = r.take(r.uvarint())
	out.spans = r.take(r.uvarint())
	stacks, values, err := decodeSamples(out.data, nil, nil)
	if err != nil || uint32(len(stacks)) != out.n || out.unit < 1 {
		r.fail("row with %d samples where %d are said, unit %d", len(stacks), out.n, out.unit)
		return out
	}
	if len(stacks) > 0 && int(stacks[len(stacks)-1]) >= len(p.in.View().Stacks) {
		r.fail("stack %d where %d are known", stacks[len(stacks)-1], len(p.in.View().Stacks))
	}
	for _, v := range values {
		if v < 0 {
			r.fail("value %d", v)
		}
		out.total, _ = profile.AddSaturating(out.total, v)
	}
	if _, err := decodeSpans(out.spans, nil); err != nil {
		r.fail("span samples: %v", err)
	}
	return out
}
