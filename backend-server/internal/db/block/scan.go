package block

import (
	"context"
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
	since      sinceRows
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

// task is runs of one row group that are to be read.
type task struct {
	group int
	runs  []run
}

// scan reads runs, which ascend.
func (s *rowScan) scan(ctx context.Context, runs []run) error {
	s.scanMemory = scanMemories.Get().(*scanMemory)
	defer scanMemories.Put(s.scanMemory)
	tasks, err := s.tasks(runs)
	if err != nil {
		return err
	}
	if s.b.far != nil {
		return s.ahead(ctx, tasks)
	}
	for _, t := range tasks {
		if err := s.group(ctx, t.group, t.runs); err != nil {
			return err
		}
	}
	return nil
}

// tasks cuts runs where row groups end.
func (s *rowScan) tasks(runs []run) ([]task, error) {
	var out []task
	for len(runs) > 0 {
		if runs[0].from >= runs[0].to {
			runs = runs[1:]
			continue
		}
		i := s.t.Find(runs[0].from)
		if i >= len(s.t.Groups) {
			return nil, fault.New(fault.Corrupt, "block %s: row %d of %d", s.b.meta.ID, runs[0].from, s.t.Rows())
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
		out = append(out, task{i, here})
	}
	return out, nil
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
	return s.pages(ctx, i, g, s.choose(g, runs), got)
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
				out = append(out, run{key: r.key, from: i, to: i + 1})
			}
		}
	}
	return out
}

func (s *rowScan) fill(g *rowGroup, key uint32, i int64) {
	s.row.Rows, s.row.Time, s.row.ID = key, profile.UnixMilli(g.time[i]), g.id[i]
	s.row.Total, s.row.Unit, s.row.N = g.total[i], g.unit[i], int(g.n[i])
	s.row.Since = s.since.of(key, g.first+i)
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
