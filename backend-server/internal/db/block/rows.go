package block

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/parquet-go/parquet-go"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// rowColumns are the columns of the rows table that hold one number a row.
type rowColumns struct {
	series, n         []uint32
	time, total, unit []int64
	id                []uint64
	spans             map[uint64][]query.SpanSample // by row number
}

func (b *Block) loadRows(ctx context.Context) (*rowColumns, error) {
	return b.rows.get(ctx, func() (*rowColumns, error) {
		f, err := b.openRows(ctx)
		if err != nil {
			return nil, err
		}
		rows := f.NumRows()
		c := new(rowColumns)
		var errs [6]error
		c.series, errs[0] = readColumn[uint32](f, colRowSeries, 0, rows)
		c.time, errs[1] = readColumn[int64](f, colRowTime, 0, rows)
		c.id, errs[2] = readColumn[uint64](f, colRowID, 0, rows)
		c.total, errs[3] = readColumn[int64](f, colRowTotal, 0, rows)
		c.unit, errs[4] = readColumn[int64](f, colRowUnit, 0, rows)
		c.n, errs[5] = readColumn[uint32](f, colRowN, 0, rows)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("block %s: rows: %w", b.meta.ID, err)
		}
		if c.spans, err = b.loadSpans(ctx); err != nil {
			return nil, err
		}
		return c, nil
	})
}

func (b *Block) openRows(ctx context.Context) (*parquet.File, error) {
	s, err := b.meta.section(sectionRows)
	if err != nil {
		return nil, err
	}
	f, err := openTable(sectionReader{ctx, b.src, s}, s.Size)
	if err != nil {
		return nil, fmt.Errorf("block %s: rows: %w", b.meta.ID, err)
	}
	return f, nil
}

func (b *Block) loadSpans(ctx context.Context) (map[uint64][]query.SpanSample, error) {
	if _, err := b.meta.section(sectionSpans); err != nil {
		return nil, nil // no profile had any
	}
	f, err := b.loadTable(ctx, sectionSpans)
	if err != nil {
		return nil, err
	}
	n := f.NumRows()
	var errs [6]error
	row, err := readColumn[uint64](f, 0, 0, n)
	stack, err1 := readColumn[uint32](f, 1, 0, n)
	span, err2 := readColumn[uint64](f, 2, 0, n)
	high, err3 := readColumn[uint64](f, 3, 0, n)
	low, err4 := readColumn[uint64](f, 4, 0, n)
	value, err5 := readColumn[int64](f, 5, 0, n)
	errs = [6]error{err, err1, err2, err3, err4, err5}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("block %s: spans: %w", b.meta.ID, err)
	}
	out := map[uint64][]query.SpanSample{}
	for i := range row {
		s := query.SpanSample{Stack: stack[i], SpanID: span[i], Value: value[i]}
		binary.BigEndian.PutUint64(s.TraceID[:8], high[i])
		binary.BigEndian.PutUint64(s.TraceID[8:], low[i])
		out[row[i]] = append(out[row[i]], s)
	}
	return out, nil
}

// Has reports whether the block holds a row with this ID.
func (b *Block) Has(ctx context.Context, id uint64) (bool, error) {
	ids, err := b.ids.get(ctx, func() ([]uint64, error) {
		rows, err := b.loadRows(ctx)
		if err != nil {
			return nil, err
		}
		sorted := slices.Clone(rows.id)
		slices.Sort(sorted)
		return slices.Compact(sorted), nil
	})
	if err != nil {
		return false, err
	}
	_, found := slices.BinarySearch(ids, id)
	return found, nil
}

// run is a range of row numbers that a scan returns.
type run struct{ from, to int64 }

// runs returns the rows that req asks for, ascending, as few runs as can be.
func (c *rowColumns) runs(req query.ScanRequest) []run {
	var out []run
	rows := slices.Clone(req.Rows)
	slices.Sort(rows)
	for _, series := range slices.Compact(rows) {
		from := sort.Search(len(c.series), func(i int) bool { return c.series[i] >= series })
		to := from + sort.Search(len(c.series)-from, func(i int) bool { return c.series[from+i] > series })
		first := from + sort.Search(to-from, func(i int) bool { return c.time[from+i] >= int64(req.Range.Start) })
		last := from + sort.Search(to-from, func(i int) bool { return c.time[from+i] > int64(req.Range.End) })
		if first >= last {
			continue
		}
		if n := len(out); n > 0 && out[n-1].to == int64(first) {
			out[n-1].to = int64(last)
			continue
		}
		out = append(out, run{int64(first), int64(last)})
	}
	return out
}

// Scan implements query.Queryable.
func (b *Block) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	c, err := b.loadRows(ctx)
	if err != nil {
		return err
	}
	runs := c.runs(req)
	if req.TotalsOnly {
		return c.totals(ctx, runs, fn)
	}
	if len(runs) == 0 {
		return nil
	}
	parts, err := b.loadPartitions(ctx)
	if err != nil {
		return err
	}
	if int(req.Partition) >= len(parts) {
		return fault.New(fault.Corrupt, "block %s: partition %d of %d", b.meta.ID, req.Partition, len(parts))
	}
	f, err := b.openRows(ctx)
	if err != nil {
		return err
	}
	s := &sampleScan{ctx: ctx, c: c, fn: fn, spans: req.Spans, known: uint32(parts[req.Partition].stacks.n)}
	if err := s.file(f, runs); err != nil {
		return fmt.Errorf("block %s: rows: %w", b.meta.ID, err)
	}
	return nil
}

func (c *rowColumns) fill(row *query.Row, i int64) {
	row.Rows, row.Time, row.ID = c.series[i], profile.UnixMilli(c.time[i]), c.id[i]
	row.Total, row.Unit, row.N = c.total[i], c.unit[i], int(c.n[i])
}

func (c *rowColumns) totals(ctx context.Context, runs []run, fn func(*query.Row) error) error {
	var row query.Row
	for _, r := range runs {
		for i := r.from; i < r.to; i++ {
			if (i-r.from)%rowsPerCheck == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			c.fill(&row, i)
			if err := fn(&row); err != nil {
				return err
			}
		}
	}
	return nil
}

// sampleScan reads the samples of runs of rows.
type sampleScan struct {
	ctx   context.Context
	c     *rowColumns
	fn    func(*query.Row) error
	spans bool
	known uint32 // number of stacks of the partition
	row   query.Row
}

func (s *sampleScan) file(f *parquet.File, runs []run) error {
	first := int64(0)
	for _, group := range f.RowGroups() {
		end := first + group.NumRows()
		var here []run
		for _, r := range runs {
			if part := (run{max(r.from, first), min(r.to, end)}); part.from < part.to {
				here = append(here, part)
			}
		}
		if len(here) > 0 {
			if err := s.group(group, first, here); err != nil {
				return err
			}
		}
		first = end
	}
	return nil
}

func (s *sampleScan) group(group parquet.RowGroup, first int64, runs []run) (err error) {
	columns := group.ColumnChunks()
	if len(columns) <= colRowValue {
		return fault.New(fault.Corrupt, "%d columns", len(columns))
	}
	stacks, values := newStream[uint32](columns[colRowStack]), newStream[int64](columns[colRowValue])
	defer func() { err = errors.Join(err, stacks.close(), values.close()) }()
	at := first
	for _, r := range runs {
		if r.from != at {
			if err := errors.Join(stacks.seek(r.from-first), values.seek(r.from-first)); err != nil {
				return err
			}
		}
		if err := s.run(stacks, values, r); err != nil {
			return err
		}
		at = r.to
	}
	return nil
}

// rowsPerCheck is how many rows are read between looks at the context.
const rowsPerCheck = 64

func (s *sampleScan) run(stacks *stream[uint32], values *stream[int64], r run) (err error) {
	for i := r.from; i < r.to; i++ {
		if (i-r.from)%rowsPerCheck == 0 {
			if err := s.ctx.Err(); err != nil {
				return err
			}
		}
		n := int(s.c.n[i])
		s.c.fill(&s.row, i)
		if s.row.Stacks, err = stacks.take(n); err != nil {
			return err
		}
		if s.row.Values, err = values.take(n); err != nil {
			return err
		}
		if s.spans {
			s.row.Spans = s.c.spans[uint64(i)]
		}
		if err := s.check(); err != nil {
			return err
		}
		if err := s.fn(&s.row); err != nil {
			return err
		}
	}
	return nil
}

// check looks at the stacks of the row (B3), so that nobody has to afterwards.
func (s *sampleScan) check() error {
	for i, stack := range s.row.Stacks {
		if stack >= s.known || i > 0 && stack <= s.row.Stacks[i-1] {
			return errIndex("stack", stack, s.known)
		}
	}
	for i := range s.row.Spans {
		if s.row.Spans[i].Stack >= s.known {
			return errIndex("stack", s.row.Spans[i].Stack, s.known)
		}
	}
	return nil
}

// errIndex is a symbol index that points outside its table.
func errIndex(what string, i, size uint32) error {
	return fault.New(fault.Corrupt, "%s %d in a table of %d", what, i, size)
}
