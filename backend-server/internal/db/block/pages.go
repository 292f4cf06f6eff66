package block

import (
	"context"
	"fmt"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// pages reads the pages of row group i that hold runs, unless got has them, and
// hands their rows out.
func (s *rowScan) pages(ctx context.Context, i int, g *rowGroup, runs []run, got pieces) error {
	t := &s.t.Groups[i]
	needed, extents, err := pagesOf(t, runs)
	if err == nil && got == nil {
		got, err = s.b.fetch(ctx, extents)
	}
	for k := 0; k < len(needed) && err == nil; k++ {
		err = s.onePage(ctx, t, g, needed[k], [2]extent(extents[2*k:]), runs, got)
	}
	if err != nil {
		return fmt.Errorf("block %s: %s: row group %d: %w", s.b.meta.ID, s.t.Schema.Name, i, err)
	}
	return nil
}

// pagesOf returns which pages of a row group hold runs, and where each lies:
// that of the stacks, then that of the values.
func pagesOf(t *table.Group, runs []run) (needed []int, extents []extent, err error) {
	stacks, values := &t.Chunks[colStacks], &t.Chunks[colValues]
	if len(stacks.Pages) != len(values.Pages) {
		return nil, nil, fault.New(fault.Corrupt, "%d pages of stacks, %d of values", len(stacks.Pages), len(values.Pages))
	}
	at := 0
	for p := range stacks.Pages {
		if stacks.Pages[p].First != values.Pages[p].First {
			return nil, nil, fault.New(fault.Corrupt, "page %d begins with row %d and %d", p, stacks.Pages[p].First, values.Pages[p].First)
		}
		for at < len(runs) && runs[at].to <= t.First+stacks.Pages[p].First {
			at++
		}
		if at < len(runs) && runs[at].from < t.First+pageEnd(stacks, p, t.Rows) {
			needed = append(needed, p)
			extents = append(extents, extent{stacks.Pages[p].Offset, stacks.Pages[p].Size}, extent{values.Pages[p].Offset, values.Pages[p].Size})
		}
	}
	return needed, extents, nil
}

func (s *rowScan) onePage(ctx context.Context, t *table.Group, g *rowGroup, p int, where [2]extent, runs []run, got pieces) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stackBytes, err := got.at(where[0])
	if err != nil {
		return err
	}
	valueBytes, err := got.at(where[1])
	if err != nil {
		return err
	}
	stacks, values := &t.Chunks[colStacks], &t.Chunks[colValues]
	page := pageRows{first: g.first + stacks.Pages[p].First, end: g.first + pageEnd(stacks, p, t.Rows)}
	if page.stacks, err = stacks.Bytes(stackBytes, &s.stackPage); err != nil {
		return err
	}
	if page.values, err = values.Bytes(valueBytes, &s.valuePage); err != nil {
		return err
	}
	return s.page(ctx, g, &page, runs)
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
