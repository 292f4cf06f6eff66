package table

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Magic stands at the begin of a file of tables and at the end of each footer.
const Magic = "PAR1"

// Sink is the file that tables are written to.
type Sink interface {
	io.Writer
	// Offset is the number of bytes written.
	Offset() int64
}

// Scratch is memory that writers share, one at a time.
type Scratch struct{ raw, packed, page []byte }

// Writer writes one table: row groups, whenever it suits, and at last the
// footer.
type Writer struct {
	out     Sink
	schema  Schema
	comp    Compression
	scratch *Scratch

	groups []format.RowGroup
	pages  [][]format.OffsetIndex // by group and column; empty for columns of one page
}

// NewWriter returns a writer of a table. Magic must have been written to the
// sink.
func NewWriter(out Sink, s Schema, c Compression, scratch *Scratch) *Writer {
	return &Writer{out: out, schema: s, comp: c, scratch: scratch}
}

// Begin begins a row group of n rows. Its columns follow, each by one call, in
// the order of the schema.
func (w *Writer) Begin(n int) {
	w.groups = append(w.groups, format.RowGroup{NumRows: int64(n), FileOffset: w.out.Offset(), Ordinal: int16(len(w.groups))})
	w.pages = append(w.pages, nil)
}

// Uint32s writes a column.
func (w *Writer) Uint32s(values []uint32) error {
	return w.numbers(len(values), func(dst []byte, from, to int) []byte {
		dst = resize(dst, 4*(to-from))
		split32(dst, values[from:to])
		return dst
	})
}

// Uint64s writes a column.
func (w *Writer) Uint64s(values []uint64) error {
	random := w.column().Kind == Random
	return w.numbers(len(values), func(dst []byte, from, to int) []byte {
		dst = resize(dst, 8*(to-from))
		if !random {
			split64(dst, values[from:to])
			return dst
		}
		for i, v := range values[from:to] {
			binary.LittleEndian.PutUint64(dst[8*i:], v)
		}
		return dst
	})
}

func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// column is the column to be written next.
func (w *Writer) column() Column {
	return w.schema.Columns[len(w.groups[len(w.groups)-1].Columns)]
}

func (w *Writer) numbers(n int, encode func(dst []byte, from, to int) []byte) (err error) {
	s := w.scratch
	c := w.chunk(n)
	for from := 0; from < n; from += valuesPerPage {
		to := min(n, from+valuesPerPage)
		s.raw = encode(s.raw, from, to)
		if s.page, s.packed, err = appendPage(s.page[:0], s.raw, s.packed, to-from, w.column().Kind, w.comp); err != nil {
			return fmt.Errorf("column %s: %w", w.column().Name, err)
		}
		c.MetaData.TotalUncompressedSize += int64(len(s.raw))
		c.MetaData.TotalCompressedSize += int64(len(s.page))
		if _, err := w.out.Write(s.page); err != nil {
			return err
		}
	}
	w.add(c, format.OffsetIndex{})
	return nil
}

// Pages writes a column of byte strings and empties p.
func (w *Writer) Pages(p *Pages) error {
	if err := p.Cut(); err != nil {
		return fmt.Errorf("column %s: %w", w.column().Name, err)
	}
	c := w.chunk(p.rows)
	c.MetaData.TotalUncompressedSize, c.MetaData.TotalCompressedSize = p.rawSize, int64(len(p.out))
	for i := range p.index {
		p.index[i].Offset += w.out.Offset()
	}
	if _, err := w.out.Write(p.out); err != nil {
		return err
	}
	w.add(c, format.OffsetIndex{PageLocations: append([]format.PageLocation(nil), p.index...)})
	p.reset()
	return nil
}

func (w *Writer) chunk(n int) format.ColumnChunk {
	col := w.column()
	return format.ColumnChunk{FileOffset: w.out.Offset(), MetaData: format.ColumnMetaData{
		Type: col.Kind.physical(), Encoding: []format.Encoding{col.Kind.encoding()}, PathInSchema: []string{col.Name},
		Codec: w.comp.codec(), NumValues: int64(n), DataPageOffset: w.out.Offset(),
	}}
}

func (w *Writer) add(c format.ColumnChunk, pages format.OffsetIndex) {
	g := len(w.groups) - 1
	w.groups[g].Columns = append(w.groups[g].Columns, c)
	w.groups[g].TotalByteSize += c.MetaData.TotalUncompressedSize
	w.groups[g].TotalCompressedSize += c.MetaData.TotalCompressedSize
	w.pages[g] = append(w.pages[g], pages)
}

// Name is the name of the table.
func (w *Writer) Name() string { return w.schema.Name }

// Rows is the number of rows written.
func (w *Writer) Rows() (n int64) {
	for i := range w.groups {
		n += w.groups[i].NumRows
	}
	return n
}

// Footer ends the table.
func (w *Writer) Footer() error {
	protocol := new(thrift.CompactProtocol)
	for g := range w.groups {
		for i := range w.pages[g] {
			if len(w.pages[g][i].PageLocations) == 0 {
				continue
			}
			b, err := thrift.Marshal(protocol, &w.pages[g][i])
			if err != nil {
				return fmt.Errorf("page index: %w", err)
			}
			c := &w.groups[g].Columns[i]
			c.OffsetIndexOffset, c.OffsetIndexLength = w.out.Offset(), int32(len(b))
			if _, err := w.out.Write(b); err != nil {
				return err
			}
		}
	}
	b, err := thrift.Marshal(protocol, &format.FileMetaData{
		Version: 1, Schema: w.schema.elements(), NumRows: w.Rows(), RowGroups: w.groups, CreatedBy: "hearth",
	})
	if err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	_, err = w.out.Write(append(b, Magic...))
	return err
}

// Pages collects a column of byte strings, compressed page by page.
type Pages struct {
	comp    Compression
	scratch *Scratch
	raw     []byte // of the page being filled
	values  int    // of it

	out     []byte
	rows    int
	rawSize int64
	index   []format.PageLocation
}

// NewPages returns an empty column.
func NewPages(c Compression, scratch *Scratch) *Pages {
	return &Pages{comp: c, scratch: scratch}
}

// Add adds a value.
func (p *Pages) Add(b []byte) {
	p.raw = append(binary.LittleEndian.AppendUint32(p.raw, uint32(len(b))), b...)
	p.values++
}

// Cut ends the page being filled.
func (p *Pages) Cut() (err error) {
	if p.values == 0 {
		return nil
	}
	at := len(p.out)
	if p.out, p.scratch.packed, err = appendPage(p.out, p.raw, p.scratch.packed, p.values, Bytes, p.comp); err != nil {
		return err
	}
	p.index = append(p.index, format.PageLocation{Offset: int64(at), CompressedPageSize: int32(len(p.out) - at), FirstRowIndex: int64(p.rows)})
	p.rows += p.values
	p.rawSize += int64(len(p.raw))
	p.raw, p.values = p.raw[:0], 0
	return nil
}

// Rows is the number of values added.
func (p *Pages) Rows() int { return p.rows + p.values }

// Size is the memory that the column takes.
func (p *Pages) Size() int { return cap(p.raw) + cap(p.out) }

func (p *Pages) reset() {
	p.out, p.index, p.rows, p.rawSize = p.out[:0], p.index[:0], 0, 0
}

func split32(dst []byte, values []uint32) {
	n := len(values)
	a, b, c, d := dst[:n], dst[n:2*n], dst[2*n:3*n], dst[3*n:4*n]
	for i, v := range values {
		a[i], b[i], c[i], d[i] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
}

func split64(dst []byte, values []uint64) {
	n := len(values)
	for k := range 8 {
		plane := dst[k*n : (k+1)*n]
		for i, v := range values {
			plane[i] = byte(v >> (8 * k))
		}
	}
}
