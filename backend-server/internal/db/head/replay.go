package head

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/cursor"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Replay adds what a log record holds, as Append once did. Records are given
// in the log's order; Replay and Append must not run at the same time. A record
// whose series were defined in a record that is lost is Corrupt, as is one that
// cannot be read: it then leaves no rows, and the next record can be replayed.
func (h *Head) Replay(record []byte) error {
	r := reader{cursor.New("head record", record), &h.replay}
	kind := r.Byte()
	if r.Err() == nil && kind != profileRecord && kind != carriedRecord {
		return fault.New(fault.Corrupt, "head record of kind %d; this program reads %d and %d", kind, profileRecord, carriedRecord)
	}
	p := h.partition(r.Text())
	if r.Err() != nil {
		return r.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	rest, err := p.in.ReplayTail(r.Rest())
	p.logged = p.in.Mark()
	if err != nil {
		return err
	}
	r.Skip(rest)
	key := r.Uint64()
	t := profile.UnixMilli(r.Varint())
	rows := r.rows(p, key, t)
	if r.Err() != nil {
		return r.Err()
	}
	if kind == carriedRecord {
		for i := range rows {
			if !rows[i].series.counter {
				return fault.New(fault.Corrupt, "head record: totals of series %d, which is no counter", rows[i].series.index)
			}
			p.carried(rows[i].series, &rows[i].row, key)
		}
		h.account(p)
	} else if !p.ids.has(key) {
		h.publish(p, key, t, rows)
	}
	return nil
}

// replayMemory is reused from record to record.
type replayMemory struct {
	rows   []newRow
	stacks []uint32
	values []int64
	spans  []query.SpanSample
}

// reader reads the parts of a record until the first fault, after which it
// returns zeros and keeps the fault.
type reader struct {
	cursor.Cursor
	m *replayMemory
}

// rows reads the rows. Definitions among them count even if the rows do not:
// later records rely on them.
func (r *reader) rows(p *partition, key uint64, t profile.UnixMilli) []newRow {
	n := r.Count(1)
	rows := r.m.rows[:0]
	for range n {
		s := r.series(p)
		if s == nil || r.Err() != nil {
			break
		}
		s.logged = true
		rows = append(rows, newRow{series: s, row: r.row(p, s, key, t)})
	}
	r.m.rows = rows
	return rows
}

// series reads which row series a row belongs to, and its definition if it is
// there. A series not seen before is not marked as logged.
func (r *reader) series(p *partition) *rowSeries {
	index := r.Uvarint()
	defined := r.Byte()
	if defined > 2 {
		r.Fail("definition of kind %d", defined)
	}
	if defined == 0 {
		if index >= uint64(len(p.series)) || !p.series[index].logged {
			r.Fail("series %d of %q was defined in a record that is lost", index, p.name)
			return nil
		}
		return p.series[index]
	}
	if index > uint64(len(p.series))+maxSeriesGap {
		r.Fail("series %d of %q, where %d are known", index, p.name, len(p.series))
	}
	k := r.definition()
	if k.counter = defined == 2; k.counter && k.scaleT != (profile.ValueType{}) {
		r.Fail("series %d of %q is a counter with a scaled type", index, p.name)
	}
	if r.Err() != nil {
		return nil
	}
	if s := p.lookUp(&k); s != nil && uint64(s.index) != index {
		r.Fail("series %d of %q is defined again as series %d", s.index, p.name, index)
		return nil
	} else if s != nil {
		return s
	}
	for uint64(len(p.series)) <= index {
		p.newSeries()
	}
	s := p.series[index]
	if s.logged {
		r.Fail("series %d of %q is defined again as something else", index, p.name)
		return nil
	}
	p.define(s, k)
	return s
}

// maxSeriesGap bounds how many series lost records may be taken to have
// defined.
const maxSeriesGap = 1 << 20

func (r *reader) definition() (k seriesKey) {
	n := r.Count(1)
	b := labels.NewScratchBuilder(int(n))
	for range n {
		name, value := r.Text(), r.Text()
		b.Add(name, value)
	}
	k.labels = b.Labels()
	for _, t := range []*profile.ValueType{&k.column, &k.scaleT, &k.period} {
		t.Type, t.Unit = r.Text(), r.Text()
	}
	return k
}

func (r *reader) row(p *partition, s *rowSeries, key uint64, t profile.UnixMilli) row {
	out := row{time: t, id: key, unit: int64(r.Uvarint())}
	n := r.Uvarint()
	out.data = r.Take(r.Uvarint())
	out.spans = r.Take(r.Uvarint())
	if r.Err() != nil {
		return out
	}
	r.samples(&out, uint32(len(p.in.View().Stacks)))
	if uint64(out.n) != n {
		r.Fail("row with %d samples where %d are said", out.n, n)
	}
	if _, clipped := profile.MulSaturating(out.total, out.unit); out.unit < 1 || s.hasScaled() && clipped {
		r.Fail("row with a total of %d and unit %d", out.total, out.unit)
	}
	return out
}

// samples checks (H2) and counts the samples of a row. known is the number of
// stacks there are.
func (r *reader) samples(out *row, known uint32) {
	var err error
	m := r.m
	if m.stacks, m.values, err = decodeSamples(out.data, m.stacks[:0], m.values[:0]); err != nil {
		r.Fail("samples: %v", err)
		return
	}
	out.n = uint32(len(m.stacks))
	for i, stack := range m.stacks {
		if stack >= known || i > 0 && stack <= m.stacks[i-1] || m.values[i] < 1 {
			r.Fail("stack %d of %d with value %d", stack, known, m.values[i])
			return
		}
		out.total, _ = profile.AddSaturating(out.total, m.values[i])
	}
	if m.spans, err = decodeSpans(out.spans, m.spans[:0]); err != nil {
		r.Fail("span samples: %v", err)
		return
	}
	for i := range m.spans {
		at, found := slices.BinarySearch(m.stacks, m.spans[i].Stack)
		if v := m.spans[i].Value; !found || v < 1 || v > m.values[at] {
			r.Fail("span sample of stack %d with value %d", m.spans[i].Stack, v)
			return
		}
	}
}
