package block

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// rowsPerCheck is how many rows are read between looks at the context.
const rowsPerCheck = 64

// rowScan reads runs of rows, row group by row group.
type rowScan struct {
	b          *Block
	t          *rowTable
	fn         func(*query.Row) error
	totalsOnly bool
	known      uint32 // number of stacks of the partition
	spans      spanMap
	// Either says which rows of a run are wanted: a range, or one by one.
	keep   func(g *rowGroup, r run) (from, to int64)
	wanted func(g *rowGroup, i int64) bool

	*scanMemory
	row query.Row
}

// scanMemory is what a scan needs; it is reused.
type scanMemory struct {
	stackPage, valuePage table.ReadScratch
	stacks               []uint32
	values, last         []int64
	marks                []byte
}

var scanMemories = sync.Pool{New: func() any { return new(scanMemory) }}

// scan reads runs, which ascend.
func (s *rowScan) scan(ctx context.Context, runs []run) error {
	s.scanMemory = scanMemories.Get().(*scanMemory)
	defer scanMemories.Put(s.scanMemory)
	for len(runs) > 0 {
		if runs[0].from >= runs[0].to {
			runs = runs[1:]
			continue
		}
		i := s.t.Find(runs[0].from)
		if i >= len(s.t.Groups) {
			return fault.New(fault.Corrupt, "block %s: row %d of %d", s.b.meta.ID, runs[0].from, s.t.Rows())
		}
		end := s.t.Groups[i].First + s.t.Groups[i].Rows
		var here []run
		for len(runs) > 0 && runs[0].from < end {
			part := runs[0]
			part.to = min(part.to, end)
			here = append(here, part)
			if runs[0].to > end {
				runs[0].from = end
				break
			}
			runs = runs[1:]
		}
		if err := s.group(ctx, i, here); err != nil {
			return err
		}
	}
	return nil
}

// readWhole is up to which size a row group is read at once, whatever part of
// it may be wanted.
const readWhole = 1 << 20

// group reads runs of row group i.
func (s *rowScan) group(ctx context.Context, i int, runs []run) error {
	t := &s.t.Groups[i]
	var got pieces
	if !s.totalsOnly {
		rows := int64(0)
		for _, r := range runs {
			rows += r.to - r.from
		}
		if whole := wholeOf(t); whole.size <= readWhole || 2*rows >= t.Rows {
			var err error
			if got, err = s.b.fetch(ctx, []extent{whole}); err != nil {
				return err
			}
		}
	}
	g, err := s.b.rowGroup(ctx, s.t, i, got)
	if err != nil {
		return err
	}
	if s.totalsOnly {
		return s.totals(ctx, g, s.choose(g, runs))
	}
	if err := s.pages(ctx, t, g, s.choose(g, runs), got); err != nil {
		return fmt.Errorf("block %s: %s: row group %d: %w", s.b.meta.ID, s.t.Schema.Name, i, err)
	}
	return nil
}

// choose cuts runs down to the rows that are wanted.
func (s *rowScan) choose(g *rowGroup, runs []run) []run {
	var out []run
	for _, r := range runs {
		if s.keep != nil {
			if r.from, r.to = s.keep(g, r); r.from < r.to {
				out = append(out, r)
			}
			continue
		}
		for i := r.from; i < r.to; i++ {
			if !s.wanted(g, i-g.first) {
				continue
			}
			if n := len(out); n > 0 && out[n-1].key == r.key && out[n-1].to == i {
				out[n-1].to++
			} else {
				out = append(out, run{r.key, i, i + 1})
			}
		}
	}
	return out
}

func (s *rowScan) fill(g *rowGroup, key uint32, i int64) {
	s.row.Rows, s.row.Time, s.row.ID = key, profile.UnixMilli(g.time[i]), g.id[i]
	s.row.Total, s.row.Unit, s.row.N = g.total[i], g.unit[i], int(g.n[i])
}

func (s *rowScan) totals(ctx context.Context, g *rowGroup, runs []run) error {
	for _, r := range runs {
		for i := r.from; i < r.to; i++ {
			if (i-r.from)%(16*rowsPerCheck) == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			s.fill(g, r.key, i-g.first)
			if err := s.fn(&s.row); err != nil {
				return err
			}
		}
	}
	return nil
}

// pages reads the pages that hold runs, and hands their rows out.
func (s *rowScan) pages(ctx context.Context, t *table.Group, g *rowGroup, runs []run, got pieces) error {
	stacks, values := &t.Chunks[colStacks], &t.Chunks[colValues]
	if len(stacks.Pages) != len(values.Pages) {
		return fault.New(fault.Corrupt, "%d pages of stacks, %d of values", len(stacks.Pages), len(values.Pages))
	}
	var needed []int
	var extents []extent
	at := 0
	for p := range stacks.Pages {
		if stacks.Pages[p].First != values.Pages[p].First {
			return fault.New(fault.Corrupt, "page %d begins with row %d and %d", p, stacks.Pages[p].First, values.Pages[p].First)
		}
		for at < len(runs) && runs[at].to <= g.first+stacks.Pages[p].First {
			at++
		}
		if at < len(runs) && runs[at].from < g.first+pageEnd(stacks, p, t.Rows) {
			needed = append(needed, p)
			extents = append(extents, extent{stacks.Pages[p].Offset, stacks.Pages[p].Size}, extent{values.Pages[p].Offset, values.Pages[p].Size})
		}
	}
	if got == nil {
		var err error
		if got, err = s.b.fetch(ctx, extents); err != nil {
			return err
		}
	}
	for i, p := range needed {
		if err := ctx.Err(); err != nil {
			return err
		}
		stackBytes, err := got.at(extents[2*i])
		if err != nil {
			return err
		}
		valueBytes, err := got.at(extents[2*i+1])
		if err != nil {
			return err
		}
		page := pageRows{first: g.first + stacks.Pages[p].First, end: g.first + pageEnd(stacks, p, t.Rows)}
		if page.stacks, err = stacks.Bytes(stackBytes, &s.stackPage); err != nil {
			return err
		}
		if page.values, err = values.Bytes(valueBytes, &s.valuePage); err != nil {
			return err
		}
		if err := s.page(ctx, g, &page, runs); err != nil {
			return err
		}
	}
	return nil
}

func pageEnd(c *table.Chunk, p int, rows int64) int64 {
	if p+1 < len(c.Pages) {
		return c.Pages[p+1].First
	}
	return rows
}

// pageRows is a page of stacks and of values, decompressed.
type pageRows struct {
	first, end     int64
	stacks, values []byte
}

// Marks of the rows of a page.
const (
	rowWanted = 1 << iota
	rowNeeded // to know the values of a wanted one
)

// page hands out the rows of a page that lie in runs.
func (s *rowScan) page(ctx context.Context, g *rowGroup, page *pageRows, runs []run) error {
	runs = runs[firstRun(runs, page.first):]
	marks := s.mark(g, page, runs)
	at := 0
	for i, mark := range marks {
		stacks, rest, err := table.Next(page.stacks)
		if err != nil {
			return err
		}
		values, rest2, err := table.Next(page.values)
		if err != nil {
			return err
		}
		page.stacks, page.values = rest, rest2
		if mark == 0 {
			continue
		}
		if i%rowsPerCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row := page.first + int64(i)
		goesOn := i+1 < len(marks) && marks[i+1] != 0 && g.relative[row+1-g.first] != 0
		if err := s.decode(stacks, values, int(g.n[row-g.first]), g.relative[row-g.first] != 0, goesOn); err != nil {
			return fmt.Errorf("row %d: %w", row, err)
		}
		if mark&rowWanted == 0 {
			continue
		}
		for runs[at].to <= row {
			at++
		}
		if err := s.hand(g, runs[at].key, row); err != nil {
			return err
		}
	}
	return nil
}

// firstRun is the first of runs that goes on behind a row.
func firstRun(runs []run, row int64) int {
	i, _ := slices.BinarySearchFunc(runs, row, func(r run, row int64) int {
		if r.to <= row {
			return -1
		}
		return 1
	})
	return i
}

// mark says which rows of a page have to be decoded: those wanted, and for each
// relative one those before it, back to the last one that is not.
func (s *rowScan) mark(g *rowGroup, page *pageRows, runs []run) []byte {
	s.marks = append(s.marks[:0], make([]byte, page.end-page.first)...)
	last := page.first
	for _, r := range runs {
		if r.from >= page.end {
			break
		}
		last = min(r.to, page.end)
		for i := max(r.from, page.first); i < last; i++ {
			s.marks[i-page.first] = rowWanted
		}
	}
	marks := s.marks[:last-page.first]
	for i := len(marks) - 1; i > 0; i-- {
		if marks[i] != 0 && g.relative[page.first-g.first+int64(i)] != 0 {
			marks[i-1] |= rowNeeded
		}
	}
	return marks
}

// decode decodes the samples of a row. goesOn says that the next row is relative
// to it and will be decoded.
func (s *rowScan) decode(stacks, values []byte, n int, relative, goesOn bool) error {
	if n > len(stacks) || n > len(values) {
		return fault.New(fault.Corrupt, "%d samples in %d and %d bytes", n, len(stacks), len(values))
	}
	s.stacks, s.values = slices.Grow(s.stacks[:0], n)[:n], slices.Grow(s.values[:0], n)[:n]
	if err := readStacks(stacks, s.stacks, s.known); err != nil {
		return err
	}
	if relative {
		if len(s.last) != int(s.known) {
			return errNothingBefore
		}
		return readChanges(values, s.stacks, s.values, s.last)
	}
	if err := readValues(values, s.values); err != nil {
		return err
	}
	if goesOn {
		if cap(s.last) < int(s.known) {
			s.last = make([]int64, s.known)
		}
		s.last = s.last[:s.known]
		clear(s.last)
		note(s.stacks, s.values, s.last)
	}
	return nil
}

var errNothingBefore = fault.New(fault.Corrupt, "relative to a row that is not there")

// hand gives a row to the caller.
func (s *rowScan) hand(g *rowGroup, key uint32, row int64) error {
	s.fill(g, key, row-g.first)
	s.row.Stacks, s.row.Values = s.stacks, s.values
	if s.spans != nil {
		s.row.Spans = s.spans[row]
	}
	return s.fn(&s.row)
}
