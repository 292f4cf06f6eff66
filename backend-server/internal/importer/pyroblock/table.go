package pyroblock

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// table is a Parquet file of which some columns are read, found by their names:
// columns that a version of the schema lacks, or has besides, do not matter.
type table struct {
	name    string
	file    *parquet.File
	close   func() error
	columns []int // of the values wanted, in the order asked for; -1 for none
	at      []int // by column of the file, its place in columns; -1 if not wanted
	batch   []parquet.Row
}

const rowsAtOnce = 64

// openTable opens a table with columns, each by the end of its path. Those of
// optional names may be missing.
func openTable(name, path string, columns, optional []string) (t *table, err error) {
	defer recovered(name, &err)
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Mark(fault.Corrupt, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t, err = newTable(name, f, info.Size(), columns, optional)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t.close = f.Close
	return t, nil
}

func newTable(name string, r io.ReaderAt, size int64, columns, optional []string) (t *table, err error) {
	defer recovered(name, &err)
	if err := checkFooter(name, r, size); err != nil {
		return nil, err
	}
	file, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "%s: %w", name, err)
	}
	t = &table{name: name, file: file, close: func() error { return nil }, batch: make([]parquet.Row, rowsAtOnce)}
	paths := file.Schema().Columns()
	t.at = make([]int, len(paths))
	for i := range t.at {
		t.at[i] = -1
	}
	for i, want := range append(columns[:len(columns):len(columns)], optional...) {
		found := -1
		for at, path := range paths {
			if found < 0 && matches(path, want) {
				found = at
				t.at[at] = i
			}
		}
		if found < 0 && i < len(columns) {
			return nil, fault.New(fault.Corrupt, "%s: there is no column %s", name, want)
		}
		t.columns = append(t.columns, found)
	}
	return t, nil
}

// matches compares a column's path, of which the parts that only make lists do
// not count, with the end that is wanted.
func matches(path []string, want string) bool {
	var named []string
	for _, p := range path {
		if p != "list" && p != "element" {
			named = append(named, p)
		}
	}
	joined := "." + strings.ToLower(strings.Join(named, "."))
	return strings.HasSuffix(joined, "."+strings.ToLower(want))
}

// recovered makes an error of a panic: the Parquet library is not made for files
// that somebody has damaged.
func recovered(name string, err *error) {
	if r := recover(); r != nil {
		*err = fault.New(fault.Corrupt, "%s: %v", name, r)
	}
}

// rows calls fn for each row with its values by wanted column: none for a null,
// several for a list.
func (t *table) rows(fn func(values [][]parquet.Value) error) error {
	for _, g := range t.file.RowGroups() {
		if err := t.rowsOf(g, 0, g.NumRows(), fn); err != nil {
			return err
		}
	}
	return nil
}

// span is rows of a row group.
type span struct{ group, first, rows uint32 }

// spans calls fn for the rows of some spans.
func (t *table) spans(spans []span, fn func(values [][]parquet.Value) error) error {
	groups := t.file.RowGroups()
	for _, s := range spans {
		if int64(s.group) >= int64(len(groups)) || int64(s.first)+int64(s.rows) > groups[s.group].NumRows() {
			return fault.New(fault.Corrupt, "%s: %d rows from row %d of row group %d are not there", t.name, s.rows, s.first, s.group)
		}
		if err := t.rowsOf(groups[s.group], int64(s.first), int64(s.rows), fn); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) rowsOf(g parquet.RowGroup, first, n int64, fn func(values [][]parquet.Value) error) (err error) {
	if n == 0 {
		return nil
	}
	defer recovered(t.name, &err)
	rows := g.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	if err := rows.SeekToRow(first); err != nil {
		return fault.New(fault.Corrupt, "%s: row %d: %w", t.name, first, err)
	}
	values := make([][]parquet.Value, len(t.columns))
	for n > 0 {
		got, err := rows.ReadRows(t.batch[:min(n, rowsAtOnce)])
		if got == 0 {
			return fault.New(fault.Corrupt, "%s: %d rows are missing: %w", t.name, n, cmp.Or(err, io.ErrNoProgress))
		}
		for _, row := range t.batch[:got] {
			t.pick(row, values)
			if err := fn(values); err != nil {
				return err
			}
		}
		n -= int64(got)
	}
	return nil
}

// pick sorts the values of a row by wanted column.
func (t *table) pick(row parquet.Row, values [][]parquet.Value) {
	for i := range values {
		values[i] = values[i][:0]
	}
	for _, v := range row {
		if c := v.Column(); c >= 0 && c < len(t.at) && t.at[c] >= 0 {
			values[t.at[c]] = append(values[t.at[c]], v)
		}
	}
}

// number is the one value of a column, 0 if it is null or missing.
func number(values []parquet.Value) uint64 {
	if len(values) == 0 || values[0].IsNull() {
		return 0
	}
	return scalar(values[0])
}

func scalar(v parquet.Value) uint64 {
	switch v.Kind() {
	case parquet.Int32:
		return uint64(uint32(v.Int32()))
	case parquet.Int64:
		return uint64(v.Int64())
	case parquet.Boolean:
		if v.Boolean() {
			return 1
		}
	}
	return 0
}

// list is the values of a list; one that is empty is there as a null.
func list(values []parquet.Value) []parquet.Value {
	if len(values) == 1 && values[0].IsNull() {
		return nil
	}
	return values
}

func wrong(name, format string, args ...any) error {
	return fault.New(fault.Corrupt, "%s: %s", name, fmt.Sprintf(format, args...))
}
