package table

import (
	"encoding/binary"
	"math"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Footers are Thrift structs in the compact protocol. They are written with
// parquet-go's types, and read by what follows: parquet-go takes the length of a
// list from the file and memory for that many entries, which may be gigabytes.

// Types of the compact protocol.
const (
	thriftTrue = 1 + iota
	thriftFalse
	thriftByte
	thriftInt16
	thriftInt32
	thriftInt64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

// thriftReader reads from b. The first error stays; all that is read after it
// is zero.
type thriftReader struct {
	b   []byte
	err error
}

func (r *thriftReader) fail() {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "no Thrift struct of the kind that is expected")
	}
	r.b = nil
}

func (r *thriftReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *thriftReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *thriftReader) int() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *thriftReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// list reads the header of a list. An entry takes a byte at least, so there are
// no more than bytes.
func (r *thriftReader) list(of byte) int {
	h := r.byte()
	n := uint64(h >> 4)
	if n == 15 {
		n = r.uvarint()
	}
	if h&15 != of && n > 0 || n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

// maxNesting bounds structs in structs that are skipped.
const maxNesting = 16

// structure calls field for every field of a struct. Where that returns false,
// the field is skipped.
func (r *thriftReader) structure(field func(id int64, kind byte) bool) { r.fields(field, 0) }

func (r *thriftReader) fields(field func(id int64, kind byte) bool, depth int) {
	id := int64(0)
	for r.err == nil {
		h := r.byte()
		if h == 0 {
			return
		}
		if h>>4 != 0 {
			id += int64(h >> 4)
		} else {
			id = r.int()
		}
		if id < 0 || id > math.MaxInt16 {
			r.fail()
		} else if !field(id, h&15) {
			r.skip(h&15, depth)
		}
	}
}

func (r *thriftReader) skip(kind byte, depth int) {
	if depth > maxNesting {
		r.fail()
		return
	}
	switch kind {
	case thriftTrue, thriftFalse: // a field says it with its kind
	case thriftByte:
		r.byte()
	case thriftInt16, thriftInt32, thriftInt64:
		r.uvarint()
	case thriftBinary:
		r.bytes()
	case thriftList, thriftSet:
		if len(r.b) == 0 {
			r.fail()
			return
		}
		of := r.b[0] & 15
		for range r.list(of) {
			if of == thriftTrue || of == thriftFalse {
				of = thriftByte // in a list it takes a byte
			}
			if r.skip(of, depth+1); r.err != nil {
				return
			}
		}
	case thriftStruct:
		r.fields(func(int64, byte) bool { return false }, depth+1)
	default: // doubles and maps are not in any footer
		r.fail()
	}
}

// footerChunk is what a footer says of a column chunk.
type footerChunk struct {
	kind, codec, values, size, offset int64
	path                              string // the names joined by dots
	indexOffset, indexLength          int64
}

// footerGroup is what a footer says of a row group.
type footerGroup struct {
	rows   int64
	chunks []footerChunk
}

// readFooter reads the row groups of a FileMetaData.
func readFooter(b []byte) ([]footerGroup, error) {
	r := &thriftReader{b: b}
	var out []footerGroup
	r.structure(func(id int64, kind byte) bool {
		if id != 4 || kind != thriftList {
			return false
		}
		for range r.list(thriftStruct) {
			out = append(out, r.group())
			if r.err != nil {
				break
			}
		}
		return true
	})
	return out, r.err
}

func (r *thriftReader) group() (g footerGroup) {
	r.structure(func(id int64, kind byte) bool {
		switch {
		case id == 1 && kind == thriftList:
			for range r.list(thriftStruct) {
				g.chunks = append(g.chunks, r.chunk())
				if r.err != nil {
					break
				}
			}
		case id == 3 && kind == thriftInt64:
			g.rows = r.int()
		default:
			return false
		}
		return true
	})
	return g
}

func (r *thriftReader) chunk() (c footerChunk) {
	r.structure(func(id int64, kind byte) bool {
		switch {
		case id == 3 && kind == thriftStruct:
			r.column(&c)
		case id == 4 && kind == thriftInt64:
			c.indexOffset = r.int()
		case id == 5 && kind == thriftInt32:
			c.indexLength = r.int()
		default:
			return false
		}
		return true
	})
	return c
}

// column reads a ColumnMetaData.
func (r *thriftReader) column(c *footerChunk) {
	r.structure(func(id int64, kind byte) bool {
		var to *int64
		switch id {
		case 1:
			to = &c.kind
		case 4:
			to = &c.codec
		case 5:
			to = &c.values
		case 7:
			to = &c.size
		case 9:
			to = &c.offset
		}
		switch {
		case id == 3 && kind == thriftList:
			for i := range r.list(thriftBinary) {
				if i > 0 {
					c.path += "."
				}
				c.path += string(r.bytes())
			}
		case to != nil && (kind == thriftInt32 || kind == thriftInt64):
			*to = r.int()
		default:
			return false
		}
		return true
	})
}

// readPageIndex reads an OffsetIndex.
func readPageIndex(b []byte) ([]Page, error) {
	r := &thriftReader{b: b}
	var out []Page
	r.structure(func(id int64, kind byte) bool {
		if id != 1 || kind != thriftList {
			return false
		}
		for range r.list(thriftStruct) {
			var p Page
			r.structure(func(id int64, kind byte) bool {
				if id < 1 || id > 3 || kind != thriftInt32 && kind != thriftInt64 {
					return false
				}
				*[...]*int64{&p.Offset, &p.Size, &p.First}[id-1] = r.int()
				return true
			})
			out = append(out, p)
			if r.err != nil {
				break
			}
		}
		return true
	})
	return out, r.err
}
