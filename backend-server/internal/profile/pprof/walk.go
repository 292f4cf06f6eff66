package pprof

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// walk goes over the top level of the message once. It reads the plain fields,
// cuts out the strings, and notes where the other messages lie. Messages of one
// kind mostly follow one another; such a run is taken without looking at the
// kind of each.
func (d *Decoder) walk() error {
	for i := 0; i < len(d.plain); {
		at, err := i, error(nil)
		switch tag := d.plain[i]; tag {
		case 2<<3 | wireBytes:
			d.samples, i = run(d.samples, d.plain, i, tag)
		case 3<<3 | wireBytes:
			d.mappings, i = run(d.mappings, d.plain, i, tag)
		case 4<<3 | wireBytes:
			d.locations, i = run(d.locations, d.plain, i, tag)
		case 5<<3 | wireBytes:
			d.functions, i = run(d.functions, d.plain, i, tag)
		case 6<<3 | wireBytes:
			i = d.strings(i)
		}
		if i > at {
			continue
		}
		var f wireField
		if i, err = f.next(d.plain, i); err != nil {
			return malformed("no pprof profile: byte %d: %w", at, err)
		}
		if err = d.topField(&f, uint32(i)); err != nil {
			return err
		}
	}
	if len(d.out.Strings) == 0 {
		return malformed("string_table is empty; string_table[0] must be \"\"")
	}
	if len(d.types) == 0 {
		return malformed("sample_type is missing: the profile has no sample types")
	}
	return nil
}

// run appends the places of the messages with the given tag that follow one
// another in b from i on, and returns the position behind the last.
func run(out []span, b []byte, i int, tag byte) ([]span, int) {
	for i < len(b) && b[i] == tag {
		start, end := embedded(b, i+1)
		if end < 0 {
			break
		}
		out = append(out, span{uint32(start), uint32(end)})
		i = end
	}
	return out, i
}

// strings is run for those strings that need no second look: they are ASCII,
// and not the first.
func (d *Decoder) strings(i int) int {
	b, out := d.plain, d.out.Strings
	for len(out) > 0 && i < len(b) && b[i] == 6<<3|wireBytes {
		start, end := embedded(b, i+1)
		if end < 0 || !isASCII(b[start:end]) {
			break
		}
		out = append(out, unsafe.String(unsafe.SliceData(b[start:end]), end-start))
		i = end
	}
	d.out.Strings = out
	return i
}

// isASCII reports whether all bytes of b are below 0x80.
func isASCII(b []byte) bool {
	var all uint64
	if len(b) < 8 {
		for _, c := range b {
			all |= uint64(c)
		}
		return all < 0x80
	}
	all = binary.LittleEndian.Uint64(b[len(b)-8:])
	for len(b) > 8 {
		all |= binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	return all&0x8080808080808080 == 0
}

// topField takes one field of the profile, which ends at byte end.
func (d *Decoder) topField(f *wireField, end uint32) error {
	at := span{end - uint32(len(f.data)), end}
	switch f.number {
	case 1, 2, 3, 4, 5, 6, 11:
		if f.wire != wireBytes {
			return d.topError(f, errType)
		}
	case 9, 10, 12:
		if f.wire != wireVarint {
			return d.topError(f, errType)
		}
	}
	switch f.number {
	case 1:
		ref, err := readType(f.data)
		if err != nil {
			return malformed("sample_type[%d]: %w", len(d.types), err)
		}
		d.types = append(d.types, ref)
	case 2:
		d.samples = append(d.samples, at)
	case 3:
		d.mappings = append(d.mappings, at)
	case 4:
		d.locations = append(d.locations, at)
	case 5:
		d.functions = append(d.functions, at)
	case 6:
		return d.addString(f.data)
	case 9:
		if d.out.TimeNanos != 0 {
			return malformed("time_nanos occurs twice: several profiles in one")
		}
		d.out.TimeNanos = int64(f.num)
	case 10:
		d.out.DurationNanos = int64(f.num)
	case 11:
		var err error
		if d.periodType, err = readType(f.data); err != nil {
			return malformed("period_type: %w", err)
		}
	case 12:
		d.out.Period = int64(f.num)
	}
	return nil
}

func (d *Decoder) topError(f *wireField, err error) error {
	return malformed("profile, field %d, wire type %d: %w", f.number, f.wire, err)
}

// addString takes the next entry of the string table.
func (d *Decoder) addString(b []byte) error {
	n := len(d.out.Strings)
	if n == 0 && len(b) != 0 {
		return malformed("string_table[0] is %q; it must be \"\"", shorten(string(b)))
	}
	if !utf8.Valid(b) {
		return malformed("string_table[%d] is not UTF-8: hex %x", n, b[:min(len(b), maxQuoted)])
	}
	d.out.Strings = append(d.out.Strings, unsafe.String(unsafe.SliceData(b), len(b)))
	return nil
}

// stringAt checks a string index that came with the given field.
func (d *Decoder) stringAt(i uint64, field string) (uint32, error) {
	if i >= uint64(d.names.sent) {
		return 0, malformed("%s is %d; string_table has %d entries", field, int64(i), d.names.sent)
	}
	return uint32(i), nil
}
