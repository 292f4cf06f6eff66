package block

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Sums are made for windows of these lengths, in milliseconds, that begin at
// their multiples: both, or hours only, or none. They must be worth their
// room: a group has sums of a length only if they hold, over all windows, at
// most this part of the samples that they sum up.
const (
	shortStep = query.SumWindow
	longStep  = 60 * 60 * 1000
	shortPart = 8 // an eighth
	longPart  = 4
)

// collector looks at all rows of a partition once: it counts stacks and makes
// the sums, both by the stack numbers of the source, since ranks follow from
// the counts.
type collector struct {
	found  bool
	counts []uint32

	open map[sumKey]*openSum
	free [][]int64
}

// groupSums are the sums of one group.
type groupSums struct {
	step profile.UnixMilli // 0: there are none
	rows []sumRow

	raw     int64 // samples summed up
	short   int64 // samples of the short sums
	long    int64
	noShort bool // they would not pay
	no      bool // neither would long ones, or a sum does not fit
}

// sumKey is a window of a group, and a unit.
type sumKey struct{ step, start, unit int64 }

type openSum struct {
	values []int64 // by stack
	total  int64
}

// sumRow is a finished sum, by stacks of the source.
type sumRow struct {
	key    sumKey
	total  int64
	stacks []uint32
	values []int64
}

type window struct{ rows, samples int64 }

// run looks at the rows of s within r.
func (c *collector) run(ctx context.Context, in Input, s *source, r profile.TimeRange, stacks int) error {
	c.found = false
	if cap(c.counts) < stacks {
		c.counts = make([]uint32, stacks)
	}
	c.counts = c.counts[:stacks]
	clear(c.counts)
	for _, g := range s.groups {
		hours, err := g.survey(ctx, in, s.index, r)
		if err != nil {
			return err
		}
		atOnce := g.sums.no // there is nothing to be done by the hour
		if atOnce {
			hours = hours[:min(1, len(hours))]
		}
		for part := range slices.Chunk(hours, hoursAtOnce(stacks)) {
			req := query.ScanRequest{Partition: s.index, Rows: g.rows, Range: r}
			if !atOnce {
				req.Range = clamp(r, part[0], part[len(part)-1])
			}
			if err := c.scan(ctx, in, req, &g.sums); err != nil {
				return err
			}
		}
		g.sums.decide()
	}
	return nil
}

// survey lists the hours that the group has rows in, and finds out whether sums
// can pay at all: a window's sum has no fewer samples than its rows have on
// average.
func (g *sourceGroup) survey(ctx context.Context, in Input, partition uint32, r profile.TimeRange) ([]int64, error) {
	g.sums = groupSums{}
	windows := map[sumKey]*window{}
	var last [2]*window
	var lastKey [2]sumKey
	req := query.ScanRequest{Partition: partition, Rows: g.rows, Range: r, TotalsOnly: true}
	early := false
	err := in.Scan(ctx, req, func(row *query.Row) error {
		if row.Time < firstSummed {
			early = true
			return nil
		}
		g.sums.raw += int64(row.N)
		for i, step := range [2]int64{int64(shortStep), longStep} {
			key := sumKey{step: step, start: floor(int64(row.Time), step)}
			if last[i] == nil || lastKey[i] != key {
				if windows[key] == nil {
					windows[key] = new(window)
				}
				last[i], lastKey[i] = windows[key], key
			}
			last[i].rows++
			last[i].samples += int64(row.N)
		}
		return nil
	})
	var hours []int64
	if early {
		g.sums.no = true
		return []int64{math.MinInt64}, err
	}
	var least [2]int64
	for key, w := range windows {
		if key.step == longStep {
			hours = append(hours, key.start)
			least[1] += w.samples / w.rows
		} else {
			least[0] += w.samples / w.rows
		}
	}
	slices.Sort(hours)
	g.sums.noShort = least[0] > g.sums.raw/shortPart
	g.sums.no = least[1] > g.sums.raw/longPart
	return hours, err
}

// sumMemory bounds what the sums of several hours take while they are made. One
// hour at a time is always taken.
const sumMemory = 32 << 20

func hoursAtOnce(stacks int) int {
	const perHour = longStep/int64(shortStep) + 1
	return int(max(1, sumMemory/(8*perHour*int64(max(1, stacks)))))
}

// clamp returns the part of r from the hour first to the end of the hour last.
func clamp(r profile.TimeRange, first, last int64) profile.TimeRange {
	r.Start = max(r.Start, profile.UnixMilli(first))
	if last <= int64(r.End)-longStep {
		r.End = profile.UnixMilli(last + longStep - 1)
	}
	return r
}

// firstSummed is the first time that is within a whole window of every length.
const firstSummed = math.MinInt64 + 2*longStep

// floor returns the multiple of step that is not above t.
func floor(t, step int64) int64 {
	rest := t % step
	if rest < 0 {
		rest += step
	}
	return t - rest
}

// scan adds the rows that req asks for to the counts and to the sums.
func (c *collector) scan(ctx context.Context, in Input, req query.ScanRequest, g *groupSums) error {
	step := int64(shortStep)
	if g.noShort {
		step = longStep
	}
	c.open = map[sumKey]*openSum{}
	var at *openSum
	var atKey sumKey
	err := in.Scan(ctx, req, func(row *query.Row) error {
		c.found = true
		for _, stack := range row.Stacks {
			c.counts[stack]++
		}
		if g.no {
			return nil
		}
		key := sumKey{step, floor(int64(row.Time), step), row.Unit}
		if at == nil || key != atKey {
			at, atKey = c.sum(key), key
		}
		g.no = !at.add(row)
		return nil
	})
	if err != nil {
		return err
	}
	c.close(g)
	return nil
}

// sum returns the sum for a key, a new one if need be.
func (c *collector) sum(key sumKey) *openSum {
	s := c.open[key]
	if s == nil {
		s = new(openSum)
		if n := len(c.free); n > 0 {
			s.values, c.free = c.free[n-1], c.free[:n-1]
		}
		if cap(s.values) < len(c.counts) {
			s.values = make([]int64, len(c.counts))
		}
		s.values = s.values[:len(c.counts)]
		c.open[key] = s
	}
	return s
}

// add adds a row. It reports false if a sum does not fit, or would not in the
// scaled sample type.
func (s *openSum) add(row *query.Row) bool {
	for i, stack := range row.Stacks {
		v := s.values[stack] + row.Values[i]
		if v < 0 {
			return false
		}
		s.values[stack] = v
	}
	return s.addTotal(row.Total, row.Unit)
}

func (s *openSum) addTotal(total, unit int64) bool {
	s.total += total
	if s.total < 0 {
		return false
	}
	// Base and scaled type together are the most that a query adds up.
	hi, lo := bits.Mul64(uint64(s.total), uint64(unit)+1)
	return unit == 1 || hi == 0 && lo>>63 == 0
}

// close turns the open sums into rows, and short ones into long ones too.
func (c *collector) close(g *groupSums) {
	defer func() {
		for _, s := range c.open {
			clear(s.values)
			c.free = append(c.free, s.values)
		}
		c.open = nil
	}()
	if g.no {
		g.rows = nil
		return
	}
	keys := make([]sumKey, 0, len(c.open))
	for key := range c.open {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b sumKey) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.unit, b.unit)) })
	for _, key := range keys {
		s := c.open[key]
		if key.step != longStep {
			g.finish(key, s)
			hour := c.sum(sumKey{longStep, floor(key.start, longStep), key.unit})
			if g.no = !hour.merge(s, key.unit); g.no {
				g.rows = nil
				return
			}
		}
	}
	for key, s := range c.open {
		if key.step == longStep {
			g.finish(key, s)
		}
	}
}

func (s *openSum) merge(o *openSum, unit int64) bool {
	for stack, v := range o.values {
		if s.values[stack] += v; s.values[stack] < 0 {
			return false
		}
	}
	return s.addTotal(o.total, unit)
}

// finish adds a sum to the rows, unless it is clear that such do not pay.
func (g *groupSums) finish(key sumKey, s *openSum) {
	if key.step != longStep && g.noShort || g.no {
		return
	}
	n := 0
	for _, v := range s.values {
		if v != 0 {
			n++
		}
	}
	r := sumRow{key: key, total: s.total, stacks: make([]uint32, 0, n), values: make([]int64, 0, n)}
	for stack, v := range s.values {
		if v != 0 {
			r.stacks, r.values = append(r.stacks, uint32(stack)), append(r.values, v)
		}
	}
	g.rows = append(g.rows, r)
	if key.step == longStep {
		g.long += int64(n)
		g.no = g.long > g.raw/longPart
	} else {
		g.short += int64(n)
		g.noShort = g.short > g.raw/shortPart
	}
	g.forget()
}

// forget drops the rows that do not pay.
func (g *groupSums) forget() {
	if g.noShort || g.no {
		g.rows = slices.DeleteFunc(g.rows, func(r sumRow) bool { return g.no || r.key.step != longStep })
	}
}

// decide ends the sums of a group.
func (g *groupSums) decide() {
	g.forget()
	switch {
	case g.no || len(g.rows) == 0:
		g.step, g.rows = 0, nil
	case g.noShort:
		g.step = longStep
	default:
		g.step = shortStep
	}
	slices.SortFunc(g.rows, func(a, b sumRow) int {
		return cmp.Or(cmp.Compare(b.key.step, a.key.step), cmp.Compare(a.key.unit, b.key.unit), cmp.Compare(a.key.start, b.key.start))
	})
}

// size is the memory that the collector takes.
func (c *collector) size() int {
	n := 4 * cap(c.counts)
	for _, values := range c.free {
		n += 8 * cap(values)
	}
	return n
}

// groupSums writes the sums of a group.
func (w *writer) groupSums(g *sourceGroup, ranks []uint32, stacks int) error {
	out := make([]row, len(g.sums.rows))
	for i, r := range g.sums.rows {
		out[i] = row{time: r.key.start, id: uint64(r.key.step), total: r.total, unit: r.key.unit}
		w.sorter.begin(stacks)
		out[i].stacks, out[i].values = w.sorter.sort(r.stacks, r.values, ranks, nil, nil)
	}
	w.sums.partition(stacks)
	relative := w.sums.changesPay(out)
	for i := range out {
		if err := w.sums.add(uint32(len(w.groups)), &out[i], relative); err != nil {
			return err
		}
	}
	w.groups = append(w.groups, groupCounts{step: g.sums.step, sums: len(out)})
	g.sums.rows = nil
	return nil
}
