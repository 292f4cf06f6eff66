package pprof

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Wire types of the protobuf encoding.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// Errors of the encoding itself.
var (
	errVarint = errors.New("broken or cut off varint")
	errShort  = errors.New("length runs past the end")
	errWire   = errors.New("wire type that pprof does not use")
	errType   = errors.New("wire type does not fit the field")
)

// A wireField is one field of a message: its number and type, and its value,
// which is num for numbers and data for everything with a length. It reads any
// field; what real encoders write is mostly recognised before it comes to that.
type wireField struct {
	number uint64
	wire   uint8
	num    uint64
	data   []byte
}

// moreBytes are the bits that say that another byte of a varint follows.
const moreBytes = 0x8080808080808080

// uvarint reads the varint at b[i:] and returns the position behind it, or -1.
// As in google/pprof, bits beyond the 64th are lost. The call costs more than
// short numbers do, so the hottest loops look at the first two bytes themselves.
func uvarint(b []byte, i int) (uint64, int) {
	if i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		if last := ^w & moreBytes; last != 0 {
			w &= last ^ (last - 1) // what lies behind the number
			w &^= moreBytes
			// Closing the gaps between 8 groups of 7 bits, then 4 of 14, then 2 of 28.
			w = w&0x007f007f007f007f | w&0x7f007f007f007f00>>1
			w = w&0x00003fff00003fff | w&0x3fff00003fff0000>>2
			w = w&0x000000000fffffff | w&0x0fffffff00000000>>4
			return w, i + (bits.TrailingZeros64(last)+1)>>3
		}
	}
	var v uint64
	for shift := uint(0); shift < 70 && i < len(b); shift += 7 {
		c := b[i]
		i++
		v |= uint64(c&0x7f) << (shift & 63)
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// A message of numbers is read into an array by field number. Numbers above 7
// are not kept; no message of pprof needs them.
type numberFields [8]uint64

// isNumber are the bits of a tag of one byte that are zero for the numbers that
// numberFields keeps.
const isNumber = 0xff &^ (7 << 3)

// read reads the message b[at.start:at.end], in which the fields up to known
// are numbers.
func (n *numberFields) read(b []byte, at span, known uint64) error {
	i, end := int(at.start), int(at.end)
	for i < end {
		tag := b[i]
		if tag&isNumber != 0 || i+3 > len(b) {
			var err error
			if i, err = n.other(b[:end], i, known); err != nil {
				return err
			}
			continue
		}
		v, next := short(b, i+1)
		if v > maxShort {
			if v, next = uvarint(b[:end], i+1); next < 0 {
				return errVarint
			}
		}
		n[tag>>3&7], i = v, next
	}
	if i > end {
		return errVarint
	}
	return nil
}

// short reads the varint at b[i:] if it has one byte or two. Of a longer one it
// returns something above maxShort. It may look at one byte more than there is,
// so that b must be longer than the message, and the position be checked.
func short(b []byte, i int) (v uint64, next int) {
	v = uint64(b[i])
	if v >= 0x80 {
		return v&0x7f | uint64(b[i+1])<<7, i + 2
	}
	return v, i + 1
}

// maxShort is the largest number that short reads.
const maxShort = 1<<14 - 1

// other reads the field at b[i:], whatever it is.
func (n *numberFields) other(b []byte, i int, known uint64) (int, error) {
	var f wireField
	i, err := f.next(b, i)
	if err != nil || f.number == 0 || f.number > known {
		return i, err
	}
	v, err := f.value()
	if f.number < uint64(len(n)) {
		n[f.number] = v
	}
	return i, err
}

// embedded reads the length at b[i:] and returns where the message that it
// tells of begins and ends, or an end of -1 if it is not within b. It knows
// lengths of one and two bytes; longer ones are left to wireField.
func embedded(b []byte, i int) (start, end int) {
	if i+1 >= len(b) {
		return 0, -1
	}
	n := int(b[i])
	i++
	if n >= 0x80 {
		if b[i] >= 0x80 {
			return 0, -1
		}
		n = n&0x7f | int(b[i])<<7
		i++
	}
	if n > len(b)-i {
		return 0, -1
	}
	return i, i + n
}

// next reads the field at b[i:], which is not empty, and returns the position behind it.
func (f *wireField) next(b []byte, i int) (int, error) {
	tag, i := uvarint(b, i)
	if i < 0 {
		return 0, errVarint
	}
	f.number, f.wire, f.num, f.data = tag>>3, uint8(tag&7), 0, nil
	switch f.wire {
	case wireVarint:
		if f.num, i = uvarint(b, i); i < 0 {
			return 0, errVarint
		}
	case wireBytes:
		var n uint64
		if n, i = uvarint(b, i); i < 0 {
			return 0, errVarint
		}
		if n > uint64(len(b)-i) {
			return 0, errShort
		}
		f.data = b[i : i+int(n) : i+int(n)]
		i += int(n)
	case wireFixed64:
		if i += 8; i > len(b) {
			return 0, errShort
		}
	case wireFixed32:
		if i += 4; i > len(b) {
			return 0, errShort
		}
	default:
		return 0, fmt.Errorf("%w: %d", errWire, f.wire)
	}
	return i, nil
}

// value returns the number of a field that holds one number.
func (f *wireField) value() (uint64, error) {
	if f.wire != wireVarint {
		return 0, errType
	}
	return f.num, nil
}
