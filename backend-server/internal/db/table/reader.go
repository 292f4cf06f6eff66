package table

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Table is what a footer says.
type Table struct {
	Schema Schema
	Groups []Group
}

// Group is a row group. First is the number of its first row in the table.
type Group struct {
	First, Rows int64
	Chunks      []Chunk // by column
}

// Chunk is where a column of a row group lies.
type Chunk struct {
	Kind         Kind
	Offset, Size int64
	Pages        []Page // of a column of byte strings
	comp         Compression
	rows         int64
}

// Page is where a page lies. First is the number of its first row in the row
// group.
type Page struct{ Offset, Size, First int64 }

// Open reads a footer: what Writer.Footer has written, which began at offset at
// of the file.
func Open(footer []byte, at int64, s Schema) (*Table, error) {
	end := len(footer) - 4 - len(Magic)
	if end < 0 || string(footer[end+4:]) != Magic {
		return nil, fault.New(fault.Corrupt, "footer of %s without its end", s.Name)
	}
	size := int64(binary.LittleEndian.Uint32(footer[end:]))
	if size > int64(end) {
		return nil, fault.New(fault.Corrupt, "footer of %s: %d bytes of %d", s.Name, size, end)
	}
	groups, err := readFooter(footer[int64(end)-size : end])
	if err != nil {
		return nil, fmt.Errorf("footer of %s: %w", s.Name, err)
	}
	t := &Table{Schema: s, Groups: make([]Group, len(groups))}
	rows := int64(0)
	for i := range groups {
		g := &t.Groups[i]
		if err := g.read(&groups[i], footer, at, &s); err != nil {
			return nil, fmt.Errorf("footer of %s: row group %d: %w", s.Name, i, err)
		}
		g.First = rows
		rows += g.Rows
	}
	return t, nil
}

// maxRows bounds a row group.
const maxRows = 1 << 32

func (g *Group) read(r *footerGroup, footer []byte, at int64, s *Schema) error {
	if len(r.chunks) != len(s.Columns) || r.rows <= 0 || r.rows > maxRows {
		return fault.New(fault.Corrupt, "%d columns, %d rows", len(r.chunks), r.rows)
	}
	g.Rows = r.rows
	g.Chunks = make([]Chunk, len(r.chunks))
	for i, m := range r.chunks {
		c := &g.Chunks[i]
		*c = Chunk{Kind: s.Columns[i].Kind, Offset: m.offset, Size: m.size, rows: g.Rows}
		switch format.CompressionCodec(m.codec) {
		case format.Zstd:
		case format.Uncompressed:
			c.comp = None
		default:
			return fault.New(fault.Corrupt, "codec %d", m.codec)
		}
		if m.path != s.Columns[i].Name || format.Type(m.kind) != c.Kind.physical() || m.values != g.Rows {
			return fault.New(fault.Corrupt, "column %q of type %d with %d values", m.path, m.kind, m.values)
		}
		if c.Offset < 0 || c.Size < 0 || c.Offset > at-c.Size {
			return fault.New(fault.Corrupt, "column %s at %d has %d bytes", m.path, c.Offset, c.Size)
		}
		if c.Kind == Bytes {
			if err := c.readPages(&r.chunks[i], footer, at); err != nil {
				return fmt.Errorf("column %s: %w", m.path, err)
			}
		}
	}
	return nil
}

// readPages reads the page index. The pages lie one behind the other.
func (c *Chunk) readPages(m *footerChunk, footer []byte, at int64) (err error) {
	from, n := m.indexOffset-at, m.indexLength
	if from < 0 || n < 0 || from > int64(len(footer))-n {
		return fault.New(fault.Corrupt, "page index at %d has %d bytes", from, n)
	}
	if c.Pages, err = readPageIndex(footer[from : from+n]); err != nil {
		return fmt.Errorf("page index: %w", err)
	}
	offset, row := c.Offset, int64(-1)
	for i, p := range c.Pages {
		if p.Offset != offset || p.Size <= 0 || p.First <= row || p.First >= c.rows || i == 0 && p.First != 0 {
			return fault.New(fault.Corrupt, "page %d of %d bytes at %d, row %d", i, p.Size, p.Offset, p.First)
		}
		offset, row = p.Offset+p.Size, p.First
	}
	if offset != c.Offset+c.Size || row < 0 {
		return fault.New(fault.Corrupt, "%d pages end at %d, their column at %d", len(c.Pages), offset, c.Offset+c.Size)
	}
	return nil
}

// Rows is the number of rows of the table.
func (t *Table) Rows() int64 {
	if len(t.Groups) == 0 {
		return 0
	}
	last := t.Groups[len(t.Groups)-1]
	return last.First + last.Rows
}

// Find returns the index of the row group that holds row i, or the number of
// groups.
func (t *Table) Find(i int64) int {
	at, _ := slices.BinarySearchFunc(t.Groups, i, func(g Group, i int64) int {
		if i >= g.First+g.Rows {
			return -1
		}
		return 1
	})
	return at
}

// Uint32s decodes a column from the bytes of its chunk.
func (c *Chunk) Uint32s(b []byte, s *ReadScratch) ([]uint32, error) {
	return numbers(c, b, s, 4, func(out []uint32, raw []byte) []uint32 {
		n := len(raw) / 4
		p0, p1, p2, p3 := raw[:n], raw[n:2*n], raw[2*n:3*n], raw[3*n:4*n]
		at := len(out)
		out = slices.Grow(out, n)[:at+n]
		for i := range out[at:] {
			out[at+i] = uint32(p0[i]) | uint32(p1[i])<<8 | uint32(p2[i])<<16 | uint32(p3[i])<<24
		}
		return out
	})
}

// Uint64s decodes a column from the bytes of its chunk.
func (c *Chunk) Uint64s(b []byte, s *ReadScratch) ([]uint64, error) {
	random := c.Kind == Random
	return numbers(c, b, s, 8, func(out []uint64, raw []byte) []uint64 {
		n := len(raw) / 8
		at := len(out)
		out = slices.Grow(out, n)[:at+n]
		if random {
			for i := range out[at:] {
				out[at+i] = binary.LittleEndian.Uint64(raw[8*i:])
			}
			return out
		}
		clear(out[at:])
		for k := range 8 {
			plane := raw[k*n : (k+1)*n]
			for i, v := range plane {
				out[at+i] |= uint64(v) << (8 * k)
			}
		}
		return out
	})
}

// ReadScratch is memory for decompressing, of one reader at a time.
type ReadScratch struct{ raw []byte }

func numbers[T uint32 | uint64](c *Chunk, b []byte, s *ReadScratch, width int, decode func([]T, []byte) []T) ([]T, error) {
	if c.Kind == Bytes || c.Kind.width() != width {
		return nil, fault.New(fault.Corrupt, "column of kind %d", c.Kind)
	}
	var out []T
	for len(b) > 0 {
		raw, values, rest, err := readPage(b, s.raw, c.Kind, c.comp)
		if err != nil {
			return nil, err
		}
		if len(raw) != width*values || int64(len(out)+values) > c.rows {
			return nil, fault.New(fault.Corrupt, "page of %d values has %d bytes", values, len(raw))
		}
		out = decode(out, raw)
		if c.comp == Zstd {
			s.raw = raw
		}
		b = rest
	}
	if int64(len(out)) != c.rows {
		return nil, fault.New(fault.Corrupt, "column of %d values where %d were written", len(out), c.rows)
	}
	return out, nil
}

// Bytes decodes a page of byte strings: each is four bytes length, the least
// significant first, and content. Next takes it apart. The result is good until
// the next use of s.
func (c *Chunk) Bytes(page []byte, s *ReadScratch) ([]byte, error) {
	raw, _, rest, err := readPage(page, s.raw, Bytes, c.comp)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fault.New(fault.Corrupt, "%d bytes behind a page", len(rest))
	}
	if c.comp == Zstd {
		s.raw = raw
	}
	return raw, nil
}

// Next cuts the first byte string off a page.
func Next(page []byte) (value, rest []byte, err error) {
	if len(page) < 4 {
		return nil, nil, fault.New(fault.Corrupt, "page ends before its last value")
	}
	n := binary.LittleEndian.Uint32(page)
	if uint64(n) > uint64(len(page)-4) {
		return nil, nil, fault.New(fault.Corrupt, "value of %d bytes in a page with %d left", n, len(page)-4)
	}
	return page[4 : 4+n : 4+n], page[4+n:], nil
}
