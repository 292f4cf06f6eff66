package block

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// rowGroup is the columns of a row group, of rows or of sums, that hold one
// number a row.
type rowGroup struct {
	first             int64 // row
	time, total, unit []int64
	id                []uint64
	n                 []uint32
	relative          []uint32
}

// rowTable is the table of rows or that of sums.
type rowTable struct {
	*table.Table
	starts []int64 // the first row of each row series or group
	cache  *cache
	groups map[int]*once[*rowGroup] // of cache
}

func (b *Block) rowTable(l *layout) (*rowTable, error) {
	t, err := l.table(sectionRows)
	if err != nil || t == nil {
		return nil, fault.Mark(fault.Corrupt, fmt.Errorf("block %s: rows: %w", b.meta.ID, orElse(err, errNoTable)))
	}
	c := b.cache.Load()
	return &rowTable{t, l.rowStarts, c, c.rows}, nil
}

var errNoTable = fault.New(fault.Corrupt, "there is no such table")

// orElse returns a, or b if that is nil.
func orElse(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// numbersOf is where the columns of numbers of a row group lie.
func numbersOf(g *table.Group) extent {
	from := g.Chunks[colTime].Offset
	last := &g.Chunks[colRelative]
	return extent{from, max(0, last.Offset+last.Size-from)}
}

// wholeOf is where a row group lies.
func wholeOf(g *table.Group) extent {
	from := g.Chunks[colTime].Offset
	last := &g.Chunks[colValues]
	return extent{from, max(0, last.Offset+last.Size-from)}
}

// rowGroup returns the numbers of row group i. It takes them from got if they
// are in there.
func (b *Block) rowGroup(ctx context.Context, t *rowTable, i int, got pieces) (*rowGroup, error) {
	return entryOf(t.cache, t.groups, i).get(ctx, func() (*rowGroup, error) {
		g := &t.Groups[i]
		if got == nil {
			var err error
			if got, err = b.fetchAgain(ctx, []extent{numbersOf(g)}); err != nil {
				return nil, err
			}
		}
		out, err := decodeRowGroup(g, t.starts, got)
		if err != nil {
			return nil, fmt.Errorf("block %s: %s: row group %d: %w", b.meta.ID, t.Schema.Name, i, err)
		}
		t.cache.bytes.Add(out.bytes())
		return out, nil
	})
}

func decodeRowGroup(g *table.Group, starts []int64, got pieces) (*rowGroup, error) {
	out := &rowGroup{first: g.First}
	var scratch table.ReadScratch
	var numbers [colN][]uint64
	for c := range g.Chunks[:colStacks] {
		b, err := got.at(chunkExtent(&g.Chunks[c]))
		if err != nil {
			return nil, err
		}
		switch c {
		case colN:
			out.n, err = g.Chunks[c].Uint32s(b, &scratch)
		case colRelative:
			out.relative, err = g.Chunks[c].Uint32s(b, &scratch)
		default:
			numbers[c], err = g.Chunks[c].Uint64s(b, &scratch)
		}
		if err != nil {
			return nil, fmt.Errorf("column %d: %w", c, err)
		}
	}
	out.id = numbers[colID]
	out.time, out.total, out.unit = signed(numbers[colTime]), signed(numbers[colTotal]), signed(numbers[colUnit])
	next, _ := slices.BinarySearch(starts, g.First)
	last := int64(0)
	for i := range out.time {
		row := g.First + int64(i)
		for next < len(starts) && starts[next] <= row {
			last = 0
			next++
		}
		last += unzigzag(uint64(out.time[i]))
		out.time[i] = last
		if out.total[i] < 0 || out.unit[i] < 1 {
			return nil, fault.New(fault.Corrupt, "row %d: total %d, unit %d", row, out.total[i], out.unit[i])
		}
	}
	return out, nil
}

func signed(values []uint64) []int64 {
	out := make([]int64, len(values))
	for i, v := range values {
		out[i] = int64(v)
	}
	return out
}

// Has reports whether the block holds a row with this ID.
func (b *Block) Has(ctx context.Context, id uint64) (bool, error) {
	c := b.cache.Load()
	ids, err := c.ids.get(ctx, func() ([]uint64, error) {
		l, err := b.layout(ctx)
		if err != nil {
			return nil, err
		}
		t, err := b.rowTable(l)
		if err != nil {
			return nil, err
		}
		var all []uint64
		for i := range t.Groups {
			g, err := b.rowGroup(ctx, t, i, nil)
			if err != nil {
				return nil, err
			}
			all = append(all, g.id...)
		}
		slices.Sort(all)
		c.bytes.Add(8 * int64(cap(all)))
		return slices.Compact(all), nil
	})
	if err != nil {
		return false, err
	}
	_, found := slices.BinarySearch(ids, id)
	return found, nil
}

// run is rows [from, to) of one row series, or sums of one group. Their times
// ascend, but for sums.
type run struct {
	key      uint32
	from, to int64
	sure     bool // all of them are wanted
}

// Scan implements query.Queryable.
func (b *Block) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	l, err := b.layout(ctx)
	if err != nil {
		return err
	}
	p, err := b.partition(l, req.Partition)
	if err != nil {
		return err
	}
	t, err := b.rowTable(l)
	if err != nil {
		return err
	}
	var runs []run
	for _, s := range req.Rows {
		if i := int64(s); i >= p.rowSeries.first && i < p.rowSeries.end() {
			if rows, all := l.rowsWithin(s, b.meta.TimeRange(), req.Range); rows.n > 0 {
				runs = append(runs, run{s, rows.first, rows.end(), all})
			}
		}
	}
	slices.SortFunc(runs, func(a, b run) int { return int(a.key) - int(b.key) })
	s := &rowScan{b: b, t: t, fn: fn, totalsOnly: req.TotalsOnly, known: uint32(p.symbols[symStacks].n)}
	s.keep = func(g *rowGroup, r run) (from, to int64) { return within(g, r, req.Range) }
	if req.Spans && !req.TotalsOnly {
		if s.spans, err = b.spans(ctx, l, req.Partition); err != nil {
			return err
		}
	}
	if req.Since {
		if s.since, err = b.sinceOf(ctx, l, req); err != nil {
			return err
		}
	}
	return s.scan(ctx, slices.Compact(runs))
}

// within returns which rows of r, all in g, lie in the time range.
func within(g *rowGroup, r run, t profile.TimeRange) (from, to int64) {
	times := g.time[r.from-g.first : r.to-g.first]
	first := sort.Search(len(times), func(i int) bool { return times[i] >= int64(t.Start) })
	last := sort.Search(len(times), func(i int) bool { return times[i] > int64(t.End) })
	return r.from + int64(first), r.from + int64(max(first, last))
}

// ScanSums implements query.Summed.
func (b *Block) ScanSums(ctx context.Context, partition uint32, g query.Group, r profile.TimeRange, fn func(*query.Row) error) (bool, error) {
	l, err := b.layout(ctx)
	if err != nil {
		return false, err
	}
	p, err := b.partition(l, partition)
	if err != nil {
		return false, err
	}
	if int64(g.Index) < p.groups.first || int64(g.Index) >= p.groups.end() || l.groups[g.Index].step == 0 {
		return false, nil
	}
	group := &l.groups[g.Index]
	t, err := l.table(sectionSums)
	if err != nil || t == nil {
		return false, fault.Mark(fault.Corrupt, fmt.Errorf("block %s: sums: %w", b.meta.ID, orElse(err, errNoTable)))
	}
	c := b.cache.Load()
	s := &rowScan{b: b, t: &rowTable{t, l.sumStarts, c, c.sums}, fn: fn, known: uint32(p.symbols[symStacks].n)}
	s.wanted = func(g *rowGroup, i int64) bool {
		return coarsest(int64(g.id[i]), g.time[i], r)
	}
	return true, s.scan(ctx, []run{{key: g.Index, from: group.sums.first, to: group.sums.end()}})
}

// coarsest tells whether a sum is among the fewest that make up r: hours where
// whole ones lie in r, and what is shorter elsewhere.
func coarsest(step, start int64, r profile.TimeRange) bool {
	inside := func(start, step int64) bool {
		return start >= int64(r.Start) && start <= int64(r.End) && int64(r.End)-start >= step-1
	}
	return inside(start, step) && (step == longStep || !inside(floor(start, longStep), longStep))
}
