package head

import (
	"math/bits"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// newRow is a row about to be added. Its data is the appender's.
type newRow struct {
	series *rowSeries
	row
}

// appender is the memory that appending needs; it is reused.
type appender struct {
	mapper symbols.Mapper
	found  []uint32 // the stack of each sample
	inSpan bool     // whether any sample was taken in a span

	order, spare []uint64 // stack index<<32 | sample index
	stacks       []uint32 // distinct, ascending
	values       []int64  // for each of stacks, one for each sample type
	types        int

	newRows   []newRow
	added     []*rowSeries
	buf       []byte
	payload   []byte
	saturated int
}

func (a *appender) forget() { a.mapper.Forget() }

// digest does what needs no lock.
func (a *appender) digest(p *partition, rec *profile.Record) {
	samples := rec.Profile.Samples[rec.SampleStart:rec.SampleEnd]
	a.mapper.Reset(p.in, rec.Profile)
	a.mapper.Digest(samples)
	a.inSpan = false
	for i := range samples {
		if inSpan(&samples[i]) {
			a.inSpan = true
			break
		}
	}
}

// collect interns the record's stacks, after digest, and sums its samples by
// stack.
func (a *appender) collect(rec *profile.Record) {
	a.found = a.mapper.Stacks(a.found[:0])
	a.sort(uint32(rec.SampleStart))
	prof := rec.Profile
	a.types, a.saturated = len(prof.Types), 0
	a.stacks, a.values = a.stacks[:0], slices.Grow(a.values[:0], len(a.order)*a.types)
	last := ^uint64(0)
	for _, o := range a.order {
		row := prof.Row(int(uint32(o)))
		if stack := o >> 32; stack != last {
			last = stack
			a.stacks = append(a.stacks, uint32(stack))
			a.values = append(a.values, row...)
			continue
		}
		sums, clipped := a.values[len(a.values)-a.types:], false
		for c, v := range row {
			if sums[c], clipped = profile.AddSaturating(sums[c], v); clipped {
				a.saturated++
			}
		}
	}
}

// smallSort is how many samples are sorted by comparing them.
const smallSort = 64

// sort puts a.found in order, with samples counted from first: by stack, then
// by sample.
func (a *appender) sort(first uint32) {
	a.order = sized(a.order, len(a.found))
	highest, ascending := uint32(0), true
	for i, stack := range a.found {
		a.order[i] = uint64(stack)<<32 | uint64(first+uint32(i))
		ascending = ascending && stack >= highest
		highest = max(highest, stack)
	}
	switch {
	case ascending:
	case len(a.order) <= smallSort:
		slices.Sort(a.order)
	default:
		a.spare = sized(a.spare, len(a.order))
		for shift := 32; shift < 32+bits.Len32(highest); shift += 8 {
			scatter(a.spare, a.order, shift)
			a.order, a.spare = a.spare, a.order
		}
	}
}

// scatter copies from to to in order of the eight bits at shift; those that are
// equal there stay in order.
func scatter(to, from []uint64, shift int) {
	var at [256]uint32
	for _, o := range from {
		at[byte(o>>shift)]++
	}
	sum := uint32(0)
	for i, n := range at {
		at[i] = sum
		sum += n
	}
	for _, o := range from {
		digit := byte(o >> shift)
		to[at[digit]] = o
		at[digit]++
	}
}

// sized returns a slice of n elements that mean nothing, s if it is large
// enough.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

// rows makes the rows of the record: one for each sample type that has values,
// but one for two types that are proportional. The second result are the row
// series that the log does not know.
func (a *appender) rows(p *partition, rec *profile.Record, key uint64) ([]newRow, []*rowSeries) {
	types := rec.Profile.Types
	base, scaled, unit := a.proportional(rec)
	a.newRows, a.added, a.buf = a.newRows[:0], a.added[:0], a.buf[:0]
	for c := range types {
		counter := isCounter(rec.Labels, types[c])
		if c == scaled || a.isZero(c) && !counter {
			continue
		}
		r := newRow{row: row{time: rec.Time, id: key, unit: 1}}
		k := seriesKey{labels: rec.Labels, column: types[c], period: rec.Profile.PeriodType, counter: counter}
		if c == base {
			k.scaleT, r.unit = types[scaled], unit
		}
		if counter && !p.counts(&k, rec.Time, a.isZero(c)) {
			continue
		}
		r.series = p.find(k)
		if !r.series.logged && !slices.Contains(a.added, r.series) {
			a.added = append(a.added, r.series)
		}
		a.encode(&r.row, rec, c, counter)
		a.newRows = append(a.newRows, r)
	}
	return a.newRows, a.added
}

func (a *appender) isZero(c int) bool {
	for ; c < len(a.values); c += a.types {
		if a.values[c] != 0 {
			return false
		}
	}
	return true
}

// proportional looks for a sample type whose values are those of an earlier
// one times the same factor. It returns two columns and the factor, or -1, -1.
func (a *appender) proportional(rec *profile.Record) (base, scaled int, unit int64) {
	types := rec.Profile.Types
	for base := range a.types {
		if a.isZero(base) || isCounter(rec.Labels, types[base]) {
			continue
		}
		for scaled := base + 1; scaled < a.types; scaled++ {
			if isCounter(rec.Labels, types[scaled]) {
				continue
			}
			unit := a.factor(base, scaled)
			if unit > 0 && a.spansAgree(rec, base, scaled, unit) {
				return base, scaled, unit
			}
		}
		break
	}
	return -1, -1, 1
}

// spansAgree reports whether the factor holds for every sample that was taken
// in a span, and not only for the sums by stack.
func (a *appender) spansAgree(rec *profile.Record, base, scaled int, unit int64) bool {
	for i := rec.SampleStart; a.inSpan && i < rec.SampleEnd; i++ {
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

// factor returns k > 0 such that column b is k times column a throughout, or 0.
// The sum of b must fit 64 bits, so that a scaled total is exact.
func (a *appender) factor(x, y int) int64 {
	k, total := int64(0), int64(0)
	for at := 0; at < len(a.values); at += a.types {
		v, w := a.values[at+x], a.values[at+y]
		if v == 0 {
			if w != 0 {
				return 0
			}
			continue
		}
		if k == 0 {
			k = w / v
		}
		hi, lo := bits.Mul64(uint64(v), uint64(k))
		if k == 0 || hi != 0 || lo != uint64(w) {
			return 0
		}
		clipped := false
		if total, clipped = profile.AddSaturating(total, w); clipped {
			return 0
		}
	}
	return k
}

// encode fills in the row's samples, spans and total from column c.
func (a *appender) encode(r *row, rec *profile.Record, c int, counter bool) {
	start := len(a.buf)
	// Written in place: to append byte by byte would be most of the work.
	a.buf = slices.Grow(a.buf, len(a.stacks)*maxSampleBytes)
	b, w, previous, clipped := a.buf[:cap(a.buf)], start, uint32(0), false
	for i, stack := range a.stacks {
		v := a.values[i*a.types+c]
		if v == 0 {
			continue
		}
		w = putSample(b, w, stack-previous, v)
		previous = stack
		r.n++
		if r.total, clipped = profile.AddSaturating(r.total, v); clipped {
			a.saturated++
		}
	}
	a.buf = b[:w]
	if a.inSpan && !counter {
		a.encodeSpans(rec, c)
	}
	r.data, r.spans = a.buf[start:w:w], a.buf[w:len(a.buf):len(a.buf)]
}

func (a *appender) encodeSpans(rec *profile.Record, c int) {
	for _, o := range a.order {
		i := int(uint32(o))
		s := &rec.Profile.Samples[i]
		v := rec.Profile.Row(i)[c]
		if v == 0 || !inSpan(s) {
			continue
		}
		a.buf = appendSpan(a.buf, query.SpanSample{Stack: uint32(o >> 32), SpanID: s.SpanID, TraceID: s.TraceID, Value: v})
	}
}
