package pyroblock

import (
	"encoding/binary"
	"io"
)

// Before the Parquet library sees a footer, checkFooter walks through it: the
// library makes room for as many things as a list claims to hold, which in a
// damaged file can be more than there is memory.

const (
	footerTail = 8 // length and magic
	maxFooter  = 1 << 28
	maxNested  = 32
)

// checkFooter reports what is wrong with the footer of a Parquet file.
func checkFooter(name string, r io.ReaderAt, size int64) error {
	var tail [footerTail]byte
	if size < footerTail+4 {
		return wrong(name, "of %d bytes, it is no Parquet file", size)
	}
	if _, err := r.ReadAt(tail[:], size-footerTail); err != nil && err != io.EOF {
		return err
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if string(tail[4:]) != "PAR1" || length > maxFooter || length > size-footerTail-4 {
		return wrong(name, "a footer of %d bytes in a file of %d, which ends with %q", length, size, tail[4:])
	}
	b := make([]byte, length)
	if _, err := r.ReadAt(b, size-footerTail-length); err != nil && err != io.EOF {
		return err
	}
	w := thriftWalk{c: cursor{rest: b}}
	w.structure(0)
	if w.c.bad {
		return wrong(name, "the footer of %d bytes cannot be read", length)
	}
	return nil
}

// thriftWalk skips values of Thrift's compact protocol.
type thriftWalk struct{ c cursor }

// Types of fields.
const (
	thriftTrue byte = iota + 1
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

func (w *thriftWalk) byte() byte {
	if b := w.c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (w *thriftWalk) structure(depth int) {
	for !w.c.bad {
		head := w.byte()
		if head == 0 {
			return
		}
		if head>>4 == 0 {
			w.c.uvarint() // the field's number
		}
		if kind := head & 15; kind != thriftTrue && kind != thriftFalse {
			w.value(kind, depth+1)
		}
	}
}

func (w *thriftWalk) value(kind byte, depth int) {
	if depth > maxNested {
		w.c.bad = true
		return
	}
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		w.byte()
	case thriftI16, thriftI32, thriftI64:
		w.c.uvarint()
	case thriftDouble:
		w.c.bytes(8)
	case thriftBinary:
		w.c.bytes(w.c.uvarint())
	case thriftList, thriftSet:
		head := w.byte()
		n := uint64(head >> 4)
		if n == 15 {
			n = w.c.uvarint()
		}
		w.values(n, depth, head&15)
	case thriftMap:
		if n := w.c.uvarint(); n > 0 {
			kinds := w.byte()
			w.values(n, depth, kinds>>4, kinds&15)
		}
	case thriftStruct:
		w.structure(depth)
	default:
		w.c.bad = true
	}
}

// values skips n times values of some kinds. Each takes a byte at the least.
func (w *thriftWalk) values(n uint64, depth int, kinds ...byte) {
	if n > uint64(len(w.c.rest)) {
		w.c.bad = true
	}
	for ; n > 0 && !w.c.bad; n-- {
		for _, kind := range kinds {
			w.value(kind, depth+1)
		}
	}
}
