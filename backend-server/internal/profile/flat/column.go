package flat

import (
	"encoding/binary"
	"math/bits"
)

// number is what columns are made of.
type number interface{ ~uint32 | ~uint64 }

// widthOf returns how many bytes numbers take of which all is the bitwise or.
func widthOf(all uint64, least int) int {
	switch n := bits.Len64(all); {
	case n == 0:
		return least
	case n <= 8:
		return 1
	case n <= 16:
		return 2
	case n <= 32:
		return 4
	}
	return 8
}

// grow returns b with room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	out := make([]byte, len(b), max(2*cap(b), len(b)+n))
	copy(out, b)
	return out
}

// appendColumn writes a column whose width is at least least.
func appendColumn[T number](dst []byte, c []T, least int) []byte {
	var all T
	for _, v := range c {
		all |= v
	}
	width := widthOf(uint64(all), least)
	dst = grow(dst, 1+width*len(c))
	dst = append(dst, byte(width))
	out := dst[len(dst) : len(dst)+width*len(c)]
	switch width {
	case 1:
		for i, v := range c {
			out[i] = byte(v)
		}
	case 2:
		for _, v := range c {
			binary.LittleEndian.PutUint16(out, uint16(v))
			out = out[2:]
		}
	case 4:
		for _, v := range c {
			binary.LittleEndian.PutUint32(out, uint32(v))
			out = out[4:]
		}
	case 8:
		for _, v := range c {
			binary.LittleEndian.PutUint64(out, uint64(v))
			out = out[8:]
		}
	}
	return dst[:len(dst)+width*len(c)]
}

// readColumn reads a column of n elements into c, whose memory it uses if it
// is enough, and returns it with the largest element. least is 1
// where an element must cost something (F2), else 0. After an error the column
// is empty.
func readColumn[T number](r *reader, c []T, n, least int, what string) (_ []T, most T) {
	width := int(r.byte(what))
	switch width {
	case 0, 1, 2, 4, 8:
	default:
		r.fail("%s: the width of the column is %d; it must be 0, 1, 2, 4 or 8", what, width)
	}
	if width < least {
		r.fail("%s: the width of the column is %d; it must be at least %d", what, width, least)
	}
	if width != 0 && n > len(r.b)/width {
		r.fail("%s: %d elements of %d bytes, but only %d bytes are left", what, n, width, len(r.b))
	}
	if r.err != nil {
		return c[:0], 0
	}
	c = sized(c, n)
	b := r.b[:n*width]
	r.b = r.b[n*width:]
	switch width {
	case 0:
		clear(c)
	case 1:
		for i, v := range b[:len(c)] {
			c[i] = T(v)
			most = max(most, T(v))
		}
	case 2:
		for i := range c {
			v := T(binary.LittleEndian.Uint16(b))
			b, c[i], most = b[2:], v, max(most, v)
		}
	case 4:
		for i := range c {
			v := T(binary.LittleEndian.Uint32(b))
			b, c[i], most = b[4:], v, max(most, v)
		}
	case 8:
		for i := range c {
			v := binary.LittleEndian.Uint64(b)
			if uint64(T(v)) != v {
				r.fail("%s: element %d is %d; it must fit into 32 bits", what, i, v)
				return c[:0], 0
			}
			b, c[i], most = b[8:], T(v), max(most, T(v))
		}
	}
	return c, most
}

// sized returns a slice of n elements that may hold anything, in s's memory if
// that is enough.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
