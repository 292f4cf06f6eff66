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
// As in google/pprof, bits beyond the 64th are lost. The call costs more than
// short numbers do, so the hottest loops look at the first bytes themselves.
func uvarint(b []byte, i int) (uint64, int) {
	if i+1 < len(b) {
		if b[i] < 0x80 {
			return uint64(b[i]), i + 1
		}
		if b[i+1] < 0x80 {
			return uint64(b[i]&0x7f) | uint64(b[i+1])<<7, i + 2
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

// numbers reads a message all of whose known fields are numbers: field n goes
// to into[n].
func numbers(b []byte, into []uint64) error {
	for i := 0; i < len(b); {
		if tag := b[i]; tag&0x87 == wireVarint && int(tag>>3) < len(into) && tag != 0 {
			if i+1 < len(b) && b[i+1] < 0x80 {
				into[tag>>3] = uint64(b[i+1])
				i += 2
			} else if into[tag>>3], i = uvarint(b, i+1); i < 0 {
				return errVarint
			}
			continue
		}
		var f wireField
		var err error
		if i, err = f.next(b, i); err != nil {
			return err
		}
		if f.number == 0 || f.number >= uint64(len(into)) {
			continue
		}
		if into[f.number], err = f.value(); err != nil {
			return err
		}
	}
	return nil
}

// next reads the field at b[i:], which is not empty, and returns the position behind it.
func (f *wireField) next(b []byte, i int) (int, error) {
	tag := uint64(b[i])
	if tag < 0x80 {
		i++
	} else if tag, i = uvarint(b, i); i < 0 {
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
		if i < len(b) && b[i] < 0x80 {
			n = uint64(b[i])
			i++
		} else if n, i = uvarint(b, i); i < 0 {
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
