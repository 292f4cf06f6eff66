package head

import (
	"context"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Key identifies a record within a tenant: the profile's ID and its series.
// Two records with one key are the same profile sent twice. The key is stable
// over restarts and is what is stored as a row's ID.
func Key(rec *profile.Record) uint64 {
	hi, lo := bits.Mul64(rec.ID^0x9e3779b97f4a7c15, labels.StableHash(rec.Labels)|1)
	return hi ^ lo
}

// Append adds records. It returns when those added are in the log for good,
// with an error for each record that is not, or nil. A record that the head
// holds already is not added again; that is success, once the log has it.
func (h *Head) Append(ctx context.Context, recs []*profile.Record) []error {
	a := h.appenders.Get().(*appender)
	defer func() {
		a.forget()
		h.appenders.Put(a)
	}()
	errs := make([]error, len(recs))
	tickets := make([]wal.Ticket, len(recs))
	for i, rec := range recs {
		tickets[i], errs[i] = h.enqueue(a, rec)
	}
	failed := false
	for i := range recs {
		if errs[i] == nil {
			errs[i] = h.log.Wait(ctx, tickets[i])
		}
		failed = failed || errs[i] != nil
	}
	if !failed {
		return nil
	}
	return errs
}

func (h *Head) enqueue(a *appender, rec *profile.Record) (wal.Ticket, error) {
	p := h.partition(rec.Labels.Get(profile.LabelServiceName))
	p.mu.Lock()
	defer p.mu.Unlock()
	key := Key(rec)
	if _, known := p.ids[key]; known {
		// The first copy may still be on its way to the disk.
		return h.log.Last(), nil
	}
	a.collect(p, rec)
	rows, added := a.rows(p, rec, key)
	if len(rows) == 0 { // there is nothing to keep
		p.in.Rollback(p.logged)
		a.forget()
		return 0, nil
	}
	a.payload = p.appendRecord(a.payload[:0], key, rec.Time, rows)
	ticket, err := h.log.Enqueue(a.payload)
	if err != nil {
		// What the log refuses must not burden the next record.
		p.in.Rollback(p.logged)
		a.forget()
		return ticket, err
	}
	p.logged = p.in.Mark()
	for _, s := range added {
		s.logged = true
		h.addSeries(p, s)
	}
	h.publish(p, key, rec.Time, rows)
	h.saturated.Add(int64(a.saturated))
	return ticket, nil
}

// publish makes the rows of one record visible. The caller holds p.mu.
func (h *Head) publish(p *partition, key uint64, t profile.UnixMilli, rows []newRow) {
	p.ids[key] = struct{}{}
	for _, r := range rows {
		row := r.row
		row.data, row.spans = p.place(row.data), p.place(row.spans)
		r.series.rows = append(r.series.rows, row)
		p.published(r.series)
		h.rowBytes.Add(int64(len(row.data) + len(row.spans)))
	}
	h.rows.Add(int64(len(rows)))
	h.profiles.Add(1)
	if len(rows) > 0 {
		h.widen(t)
	}
	size := p.in.Bytes() + p.sumBytes()
	h.symbolBytes.Add(size - p.accounted)
	p.accounted = size
}

// newRow is a row about to be added. Its data is the appender's.
type newRow struct {
	series *rowSeries
	row
}

// appender is the memory that appending needs; it is reused.
type appender struct {
	mapper symbols.Mapper
	found  []uint32 // the stack of each sample

	order     []uint64 // stack index<<32 | sample index
	stacks    []uint32 // distinct, ascending
	first     []int    // index into order of each stack's first sample
	values    []int64  // one column a sample type, each len(stacks) long
	newRows   []newRow
	added     []*rowSeries
	buf       []byte
	payload   []byte
	saturated int
}

func (a *appender) forget() { a.mapper.Forget() }

// collect interns the record's stacks and sums its samples by stack.
func (a *appender) collect(p *partition, rec *profile.Record) {
	prof := rec.Profile
	a.mapper.Reset(p.in, prof)
	a.mapper.Digest(prof.Samples[rec.SampleStart:rec.SampleEnd])
	a.found = a.mapper.Stacks(a.found[:0])
	a.order = a.order[:0]
	for i, stack := range a.found {
		a.order = append(a.order, uint64(stack)<<32|uint64(uint32(rec.SampleStart+i)))
	}
	slices.Sort(a.order)
	a.stacks, a.first, a.saturated = a.stacks[:0], a.first[:0], 0
	for i, o := range a.order {
		if stack := uint32(o >> 32); i == 0 || stack != a.stacks[len(a.stacks)-1] {
			a.stacks = append(a.stacks, stack)
			a.first = append(a.first, i)
		}
	}
	a.first = append(a.first, len(a.order))
	n, types := len(a.stacks), len(prof.Types)
	a.values = slices.Grow(a.values[:0], n*types)[:n*types]
	for i := range a.stacks {
		for c := range types {
			a.values[c*n+i] = a.sum(prof, c, a.order[a.first[i]:a.first[i+1]])
		}
	}
}

func (a *appender) sum(prof *profile.Profile, column int, samples []uint64) int64 {
	total, clipped := int64(0), false
	for _, o := range samples {
		total, clipped = profile.AddSaturating(total, prof.Row(int(uint32(o)))[column])
		if clipped {
			a.saturated++
		}
	}
	return total
}

func (a *appender) column(c int) []int64 {
	n := len(a.stacks)
	return a.values[c*n : (c+1)*n]
}

// rows makes the rows of the record: one for each sample type that has values,
// but one for two types that are proportional. The second result are the row
// series that the log does not know.
func (a *appender) rows(p *partition, rec *profile.Record, key uint64) ([]newRow, []*rowSeries) {
	types := rec.Profile.Types
	base, scaled, unit := a.proportional(rec)
	a.newRows, a.added, a.buf = a.newRows[:0], a.added[:0], a.buf[:0]
	hash := rec.Labels.Hash()
	for c := range types {
		if c == scaled || isZero(a.column(c)) {
			continue
		}
		r := newRow{row: row{time: rec.Time, id: key, unit: 1}}
		var scaledType profile.ValueType
		if c == base {
			scaledType, r.unit = types[scaled], unit
		}
		r.series = p.find(hash, rec.Labels, types[c], scaledType, rec.Profile.PeriodType)
		if !r.series.logged && !slices.Contains(a.added, r.series) {
			a.added = append(a.added, r.series)
		}
		a.encode(&r.row, rec, c)
		a.newRows = append(a.newRows, r)
	}
	return a.newRows, a.added
}

func isZero(values []int64) bool {
	for _, v := range values {
		if v != 0 {
			return false
		}
	}
	return true
}

// proportional looks for a sample type whose values are those of an earlier
// one times the same factor. It returns two columns and the factor, or -1, -1.
func (a *appender) proportional(rec *profile.Record) (base, scaled int, unit int64) {
	types := len(rec.Profile.Types)
	for base := range types {
		if isZero(a.column(base)) {
			continue
		}
		for scaled := base + 1; scaled < types; scaled++ {
			unit := factor(a.column(base), a.column(scaled))
			if unit > 0 && spansAgree(rec, base, scaled, unit) {
				return base, scaled, unit
			}
		}
		break
	}
	return -1, -1, 1
}

// spansAgree reports whether the factor holds for every sample that was taken
// in a span, and not only for the sums by stack.
func spansAgree(rec *profile.Record, base, scaled int, unit int64) bool {
	for i := rec.SampleStart; i < rec.SampleEnd; i++ {
		if !inSpan(&rec.Profile.Samples[i]) {
			continue
		}
		values := rec.Profile.Row(i)
		if product, clipped := profile.MulSaturating(values[base], unit); clipped || product != values[scaled] {
			return false
		}
	}
	return true
}

func inSpan(s *profile.Sample) bool { return s.SpanID != 0 || s.TraceID != [16]byte{} }

// factor returns k > 0 such that b is k times a throughout, or 0. The sum of b
// must fit 64 bits, so that a scaled total is exact.
func factor(a, b []int64) int64 {
	k, total := int64(0), int64(0)
	for i := range a {
		if a[i] == 0 {
			if b[i] != 0 {
				return 0
			}
			continue
		}
		if k == 0 {
			k = b[i] / a[i]
		}
		product, clipped := profile.MulSaturating(a[i], k)
		if k == 0 || clipped || product != b[i] {
			return 0
		}
		if total, clipped = profile.AddSaturating(total, product); clipped {
			return 0
		}
	}
	return k
}

// encode fills in the row's samples, spans and total from column c.
func (a *appender) encode(r *row, rec *profile.Record, c int) {
	start, previous := len(a.buf), uint32(0)
	clipped := false
	for i, v := range a.column(c) {
		if v == 0 {
			continue
		}
		a.buf = appendSample(a.buf, a.stacks[i]-previous, v)
		previous = a.stacks[i]
		r.n++
		if r.total, clipped = profile.AddSaturating(r.total, v); clipped {
			a.saturated++
		}
	}
	end := len(a.buf)
	for _, o := range a.order {
		i := int(uint32(o))
		s := &rec.Profile.Samples[i]
		v := rec.Profile.Row(i)[c]
		if v == 0 || !inSpan(s) {
			continue
		}
		a.buf = appendSpan(a.buf, query.SpanSample{Stack: uint32(o >> 32), SpanID: s.SpanID, TraceID: s.TraceID, Value: v})
	}
	r.data, r.spans = a.buf[start:end:end], a.buf[end:len(a.buf):len(a.buf)]
}

// A log record, version 1:
//
//	byte version, string service, tail of symbols (see symbols.AppendTail),
//	8 bytes key, varint time, uvarint number of rows, and for each row:
//	  uvarint row series, byte 1 and the definition where the log does not have
//	  it yet or byte 0, uvarint unit, uvarint number of samples,
//	  uvarint length and samples, uvarint length and span samples
//	definition: labels, then sample type, scaled type, period type, each as
//	  two strings; labels: uvarint count, name and value strings
//	string: uvarint length, bytes
const recordVersion = 1

// appendRecord appends the log record for rows. The caller holds p.mu.
func (p *partition) appendRecord(dst []byte, key uint64, t profile.UnixMilli, rows []newRow) []byte {
	dst = appendString(append(dst, recordVersion), p.name)
	dst = p.in.AppendTail(dst, p.logged)
	dst = binary.BigEndian.AppendUint64(dst, key)
	dst = binary.AppendVarint(dst, int64(t))
	dst = binary.AppendUvarint(dst, uint64(len(rows)))
	for _, r := range rows {
		dst = binary.AppendUvarint(dst, uint64(r.series.index))
		if r.series.logged {
			dst = append(dst, 0)
		} else {
			dst = appendDefinition(append(dst, 1), r.series)
		}
		dst = binary.AppendUvarint(dst, uint64(r.unit))
		dst = binary.AppendUvarint(dst, uint64(r.n))
		dst = append(binary.AppendUvarint(dst, uint64(len(r.data))), r.data...)
		dst = append(binary.AppendUvarint(dst, uint64(len(r.spans))), r.spans...)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendDefinition(dst []byte, s *rowSeries) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.labels.Len()))
	s.labels.Range(func(l labels.Label) {
		dst = appendString(appendString(dst, l.Name), l.Value)
	})
	for _, v := range []profile.ValueType{s.column, s.scaleT, s.period} {
		dst = appendString(appendString(dst, v.Type), v.Unit)
	}
	return dst
}
