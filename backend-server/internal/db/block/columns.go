package block

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Columns are read page by page straight into flat slices: going through
// parquet.Value would cost 24 bytes and a branch for each number.

// number is a type that a column of numbers can have.
type number interface{ uint32 | uint64 | int64 }

// guard turns a panic into err. Parquet and index readers take what they read
// to be well-formed; a checksum that holds does not make it so.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fault.New(fault.Corrupt, "content that cannot be: %v", p)
	}
}

// maxRows is how many rows memory is taken for on a footer's word alone; more
// must have been read before they get room.
const maxRows = 1 << 18

// pageValues returns the values of a page. They are good until the page is
// released; buf is used where a dictionary has to be resolved.
func pageValues[T number](page parquet.Page, buf []T) ([]T, []T, error) {
	data := page.Data()
	dict := page.Dictionary()
	if dict == nil {
		out, err := plainValues[T](page)
		return out, buf, err
	}
	words, err := plainValues[T](dict.Page())
	if err != nil {
		return nil, buf, err
	}
	buf = buf[:0]
	for _, i := range data.Int32() {
		if int(uint32(i)) >= len(words) {
			return nil, buf, fault.New(fault.Corrupt, "dictionary index %d of %d", i, len(words))
		}
		buf = append(buf, words[i])
	}
	return buf, buf, nil
}

func plainValues[T number](page parquet.Page) ([]T, error) {
	data := page.Data()
	var zero T
	var out any
	switch any(zero).(type) {
	case uint32:
		out = data.Uint32()
	case uint64:
		out = data.Uint64()
	default:
		out = data.Int64()
	}
	values, ok := out.([]T)
	if !ok {
		return nil, fault.New(fault.Corrupt, "column of type %s", page.Type())
	}
	return values, nil
}

// readColumn reads rows [from, from+n) of a flat column.
func readColumn[T number](f *parquet.File, column int, from, n int64) (out []T, err error) {
	defer guard(&err)
	out = make([]T, 0, min(max(n, 0), maxRows))
	var buf []T
	err = eachPage(f, column, from, n, func(page parquet.Page) (err error) {
		var values []T
		values, buf, err = pageValues(page, buf)
		out = append(out, values[:min(int64(len(values)), n-int64(len(out)))]...)
		return err
	})
	if err == nil && int64(len(out)) != n {
		err = fault.New(fault.Corrupt, "column %d has %d rows where %d were written", column, len(out), n)
	}
	return out, err
}

// readStrings reads rows [from, from+n) of a flat column of strings. They
// share one allocation a page.
func readStrings(f *parquet.File, column int, from, n int64) (out []string, err error) {
	defer guard(&err)
	out = make([]string, 0, min(max(n, 0), maxRows))
	err = eachPage(f, column, from, n, func(page parquet.Page) error {
		if page.Dictionary() != nil {
			return fault.New(fault.Corrupt, "column %d: strings in a dictionary", column)
		}
		data := page.Data()
		text, offsets := data.ByteArray()
		all := string(text)
		for i := 0; i+1 < len(offsets) && int64(len(out)) < n; i++ {
			if offsets[i] > offsets[i+1] || int(offsets[i+1]) > len(all) {
				return fault.New(fault.Corrupt, "column %d: string offsets %d, %d of %d", column, offsets[i], offsets[i+1], len(all))
			}
			out = append(out, all[offsets[i]:offsets[i+1]])
		}
		return nil
	})
	if err == nil && int64(len(out)) != n {
		err = fault.New(fault.Corrupt, "column %d has %d rows where %d were written", column, len(out), n)
	}
	return out, err
}

// eachPage calls fn with the pages of a flat column that hold rows
// [from, from+n), the first one cut so that it begins with row from.
func eachPage(f *parquet.File, column int, from, n int64, fn func(parquet.Page) error) error {
	for _, group := range f.RowGroups() {
		rows := group.NumRows()
		if n <= 0 {
			return nil
		}
		if from >= rows {
			from -= rows
			continue
		}
		took := min(n, rows-from)
		if err := eachPageOf(group.ColumnChunks()[column], from, took, fn); err != nil {
			return err
		}
		n -= took
		from = 0
	}
	return nil
}

func eachPageOf(chunk parquet.ColumnChunk, from, n int64, fn func(parquet.Page) error) (err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	if from > 0 {
		if err := pages.SeekToRow(from); err != nil {
			return fmt.Errorf("seek to row %d: %w", from, err)
		}
	}
	for n > 0 {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Mark(fault.Corrupt, fmt.Errorf("page: %w", err))
		}
		n -= page.NumRows()
		err = fn(page)
		parquet.Release(page)
		if err != nil {
			return err
		}
	}
	return nil
}

// stream hands out the values of a list column in order.
type stream[T number] struct {
	pages  parquet.Pages
	page   parquet.Page
	values []T // of page, not handed out yet
	buf    []T // for dictionaries
	joined []T // for values that span pages
}

func newStream[T number](chunk parquet.ColumnChunk) *stream[T] {
	return &stream[T]{pages: chunk.Pages()}
}

// seek goes to a row of the row group.
func (s *stream[T]) seek(row int64) (err error) {
	defer guard(&err)
	s.release()
	return s.pages.SeekToRow(row)
}

// take returns the next n values. They are good until the next call.
func (s *stream[T]) take(n int) ([]T, error) {
	if len(s.values) >= n {
		out := s.values[:n]
		s.values = s.values[n:]
		return out, nil
	}
	s.joined = append(s.joined[:0], s.values...)
	for len(s.joined) < n {
		if err := s.next(); err != nil {
			return nil, err
		}
		took := min(n-len(s.joined), len(s.values))
		s.joined = append(s.joined, s.values[:took]...)
		s.values = s.values[took:]
	}
	return s.joined, nil
}

func (s *stream[T]) next() (err error) {
	defer guard(&err)
	s.release()
	page, err := s.pages.ReadPage()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fault.Mark(fault.Corrupt, fmt.Errorf("page: %w", err))
	}
	s.page = page
	s.values, s.buf, err = pageValues(page, s.buf)
	return err
}

func (s *stream[T]) release() {
	if s.page != nil {
		parquet.Release(s.page)
		s.page = nil
	}
	s.values = nil
}

func (s *stream[T]) close() (err error) {
	defer guard(&err)
	s.release()
	return s.pages.Close()
}
