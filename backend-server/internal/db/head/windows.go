package head

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

var _ query.Summed = (*Head)(nil)

// minSummed is how many row series a group must have for its rows to be summed
// in advance. Reading one series is quick without.
const minSummed = 2

// group is the row series of a partition that have the same profile types, with
// sums of their rows by window of query.SumWindow. It is guarded by the
// partition's lock.
//
// Profiles arrive mostly in order of time, so only the newest window is open:
// its sums are arrays by stack. When a newer one begins, they are encoded like
// the samples of a row. A row that is late for its window is a part of the sum
// as it is. So a sum costs the memory of one row a window, and however profiles
// come, the parts of a window add up to its rows.
type group struct {
	index  uint32
	rows   []uint32 // row series, ascending
	series []*rowSeries

	summed   bool
	overflow bool // a sum is beyond 64 bits: rows have to be read one by one
	closed   map[profile.UnixMilli][]sum
	begin    profile.UnixMilli // of the open window
	open     []openSum         // one for each unit
	bytes    int64             // memory of the sums, estimated
}

// sum is a part of a window's sum.
type sum struct {
	unit, total int64
	n           uint32
	data        []byte // see appendSample
}

// openSum is the sum of one unit in the open window.
type openSum struct {
	unit, total int64
	values      []int64 // by stack index
}

// maxUnits bounds the arrays of a group's open window. Rows of further units
// are parts of the sum as they are.
const maxUnits = 4

// published adds the newest row of s to the sums of its group. The caller
// holds p.mu.
func (p *partition) published(s *rowSeries, r *row) {
	if s.group == nil {
		p.join(s, r)
		return
	}
	s.group.sum(r)
}

// join puts a row series with its first row into the group of its profile types.
func (p *partition) join(s *rowSeries, first *row) {
	for _, g := range p.groups {
		if g.series[0].sameTypes(s) {
			s.group = g
		}
	}
	if s.group == nil {
		s.group = &group{index: uint32(len(p.groups))}
		p.groups = append(p.groups, s.group)
	}
	s.group.add(p, s, first)
}

// sameTypes reports whether the rows of s and o are of the same profile types.
func (s *rowSeries) sameTypes(o *rowSeries) bool {
	return s.column == o.column && s.scaleT == o.scaleT && s.period == o.period &&
		s.labels.Get(profile.LabelName) == o.labels.Get(profile.LabelName)
}

func (g *group) add(p *partition, s *rowSeries, first *row) {
	// Readers hold the old list.
	at, _ := slices.BinarySearch(g.rows, s.index)
	g.rows = slices.Insert(slices.Clip(g.rows), at, s.index)
	g.series = append(g.series, s)
	if g.summed {
		g.sum(first)
	}
	if g.summed || len(g.rows) < minSummed {
		return
	}
	g.summed, g.closed = true, map[profile.UnixMilli][]sum{}
	for _, old := range g.series {
		rows := p.rows(old)
		for i := range rows.list {
			r := rows.whole(i)
			g.sum(&r)
		}
	}
}

func windowOf(t profile.UnixMilli) profile.UnixMilli {
	begin := t - t%query.SumWindow
	if begin > t { // before 1970
		begin -= query.SumWindow
	}
	return begin
}

// sum adds a row whose samples are whole and in their place. It takes no copy.
func (g *group) sum(r *row) {
	if !g.summed || g.overflow {
		return
	}
	at := windowOf(r.time)
	if at > g.begin || len(g.open) == 0 {
		g.close()
		g.begin = at
	}
	if at < g.begin {
		g.late(at, r)
		return
	}
	i := slices.IndexFunc(g.open, func(o openSum) bool { return o.unit == r.unit })
	if i < 0 {
		if len(g.open) == maxUnits {
			g.late(at, r)
			return
		}
		i = len(g.open)
		g.open = slices.Grow(g.open, 1)[:i+1]
		g.open[i].reset(r.unit)
	}
	if !g.open[i].add(r) {
		g.giveUp()
	}
}

func (g *group) late(at profile.UnixMilli, r *row) {
	g.closed[at] = append(g.closed[at], sum{unit: r.unit, total: r.total, n: r.n, data: r.data})
	g.bytes += sumOverhead
}

// giveUp forgets the sums for good.
func (g *group) giveUp() { g.overflow, g.closed, g.open, g.bytes = true, nil, nil, 0 }

// sumOverhead is the memory of a part of a sum besides its samples.
const sumOverhead = 64

// sumBytes estimates the memory of the partition's sums. The caller holds p.mu.
func (p *partition) sumBytes() int64 {
	n := int64(0)
	for _, g := range p.groups {
		n += g.bytes
		for _, o := range g.open {
			n += int64(cap(o.values)) * 8
		}
	}
	return n
}

// reset begins a sum, in the array of the window before if there is one.
func (o *openSum) reset(unit int64) {
	clear(o.values)
	o.unit, o.total = unit, 0
}

// add reports whether all sums, and their products with the unit, fit 64 bits.
func (o *openSum) add(r *row) bool {
	total, clipped := profile.AddSaturating(o.total, r.total)
	if _, over := profile.MulSaturating(total, o.unit); clipped || over || total == math.MaxInt64 {
		return false
	}
	o.total = total
	stack := uint64(0)
	for b := r.data; len(b) > 0; {
		v, n := binary.Uvarint(b)
		b = b[n:] // the row is whole (H2)
		value := uint64(1)
		if v&1 == 0 {
			value, n = binary.Uvarint(b)
			b = b[n:]
		}
		if stack += v >> 1; stack >= uint64(len(o.values)) {
			o.values = append(o.values, make([]int64, stack+1-uint64(len(o.values))+stack/4)...)
		}
		o.values[stack] += int64(value)
	}
	return true
}

// close encodes the sums of the open window.
func (g *group) close() {
	for _, o := range g.open {
		s := o.encode()
		g.closed[g.begin] = append(g.closed[g.begin], s)
		g.bytes += int64(len(s.data)) + sumOverhead
	}
	g.open = g.open[:0]
}

func (o *openSum) encode() sum {
	s := sum{unit: o.unit, total: o.total}
	previous := uint32(0)
	for stack, v := range o.values {
		if v != 0 {
			s.data = appendSample(s.data, uint32(stack)-previous, v)
			previous = uint32(stack)
			s.n++
		}
	}
	s.data = slices.Clip(s.data)
	return s
}

// Groups implements query.Summed.
func (h *Head) Groups(_ context.Context, i uint32) ([]query.Group, error) {
	p, err := h.partitionAt(i)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]query.Group, len(p.groups))
	for i, g := range p.groups {
		out[i] = query.Group{Index: g.index, Rows: g.rows}
		if g.summed && !g.overflow {
			out[i].Step = query.SumWindow
		}
	}
	return out, nil
}

// ScanSums implements query.Summed.
func (h *Head) ScanSums(ctx context.Context, i uint32, g query.Group, r profile.TimeRange, fn func(*query.Row) error) (bool, error) {
	p, err := h.partitionAt(i)
	if err != nil {
		return false, err
	}
	parts, ok := p.parts(g, r)
	if !ok {
		return false, nil
	}
	out := query.Row{Rows: g.Index}
	for i := range parts {
		if i%rowsPerCheck == 0 && ctx.Err() != nil {
			return true, ctx.Err()
		}
		part := row{time: parts[i].begin, total: parts[i].total, unit: parts[i].unit, n: parts[i].n, data: parts[i].data}
		if err := part.read(&out, query.ScanRequest{}); err != nil {
			return true, err
		}
		if err := fn(&out); err != nil {
			return true, err
		}
	}
	return true, nil
}

// windowSum is a part of the sum of the window that begins at begin.
type windowSum struct {
	begin profile.UnixMilli
	sum
}

// parts returns what the sums of g within r consist of.
func (p *partition) parts(want query.Group, r profile.TimeRange) ([]windowSum, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(want.Index) >= len(p.groups) {
		return nil, false
	}
	g := p.groups[want.Index]
	if len(g.rows) != len(want.Rows) || !g.summed || g.overflow {
		return nil, false
	}
	var out []windowSum
	for begin, sums := range g.closed {
		if !r.Contains(begin) {
			continue
		}
		for _, s := range sums {
			out = append(out, windowSum{begin, s})
		}
	}
	if len(g.open) > 0 && r.Contains(g.begin) {
		for i := range g.open {
			out = append(out, windowSum{g.begin, g.open[i].encode()})
		}
	}
	return out, true
}
