package pprof

import (
	"errors"
	"fmt"
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
// which is num for numbers and data for everything with a length.
type wireField struct {
	number uint64
	wire   uint8
	num    uint64
	data   []byte
}

// uvarint reads the varint at b[i:] and returns the position behind it, or -1.
func uvarint(b []byte, i int) (uint64, int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return uvarintLong(b, i)
}

func uvarintLong(b []byte, i int) (uint64, int) {
	var v uint64
	for shift := uint(0); shift < 70 && i < len(b); shift += 7 {
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// next reads the field at b[i:] and returns the position behind it.
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
		n, j := uvarint(b, i)
		if j < 0 {
			return 0, errVarint
		}
		if n > uint64(len(b)-j) {
			return 0, errShort
		}
		i = j + int(n)
		f.data = b[j:i:i]
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

// number reads the value of a field that holds one number.
func (f *wireField) value() (uint64, error) {
	if f.wire != wireVarint {
		return 0, errType
	}
	return f.num, nil
}
