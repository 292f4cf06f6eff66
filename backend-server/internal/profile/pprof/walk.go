package pprof

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// Fields of a profile that are messages or strings and occur many times.
const (
	fieldType     = 1
	fieldSample   = 2
	fieldMapping  = 3
	fieldLocation = 4
	fieldFunction = 5
	fieldString   = 6
)

// isMessage are the bits of a tag of one byte that must be those of wireBytes
// for the fields with numbers up to 7.
const isMessage = 0xff &^ (7 << 3)

// walk goes over the top level of the message once. It reads the plain fields,
// and notes where messages and strings lie. Encoders mix the kinds as they
// like, so that it does not ask which kind each one is: its number is its list.
func (d *Decoder) walk() error {
	b := d.plain
	for i := 0; i < len(b); {
		if b[i]&isMessage == wireBytes {
			if start, end := embedded(b, i+1); end >= 0 {
				list := &d.found[b[i]>>3&7]
				*list = append(*list, span{uint32(start), uint32(end)})
				i = end
				continue
			}
		}
		var f wireField
		end, err := f.next(b, i)
		if err != nil {
			return malformed("no pprof profile: byte %d: %w", i, err)
		}
		if err := d.topField(&f, uint32(end)); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// topField takes one field of the profile, which ends at byte end.
func (d *Decoder) topField(f *wireField, end uint32) (err error) {
	switch f.number {
	case fieldType, fieldSample, fieldMapping, fieldLocation, fieldFunction, fieldString, 11:
		if f.wire != wireBytes {
			return d.topError(f, errType)
		}
	case 9, 10, 12:
		if f.wire != wireVarint {
			return d.topError(f, errType)
		}
	}
	at := span{end - uint32(len(f.data)), end}
	switch f.number {
	case fieldType, fieldSample, fieldMapping, fieldLocation, fieldFunction, fieldString:
		d.found[f.number] = append(d.found[f.number], at)
	case 9:
		if d.out.TimeNanos != 0 {
			return malformed("time_nanos occurs twice: several profiles in one")
		}
		d.out.TimeNanos = int64(f.num)
	case 10:
		d.out.DurationNanos = int64(f.num)
	case 11:
		d.periodType, err = readType(d.plain, at)
		if err != nil {
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

// decodeStrings cuts the strings out of the message.
func (d *Decoder) decodeStrings() error {
	found := d.found[fieldString]
	if len(found) == 0 {
		return malformed("string_table is empty; string_table[0] must be \"\"")
	}
	if first := d.plain[found[0].start:found[0].end]; len(first) != 0 {
		return malformed("string_table[0] is %q; it must be \"\"", shorten(string(first)))
	}
	out := d.out.Strings
	for n, at := range found {
		s := d.plain[at.start:at.end]
		if !isASCII(s) && !utf8.Valid(s) {
			d.out.Strings = out
			return malformed("string_table[%d] is not UTF-8: hex %x", n, s[:min(len(s), maxQuoted)])
		}
		out = append(out, unsafe.String(unsafe.SliceData(s), len(s)))
	}
	d.out.Strings, d.names.sent = out, len(out)
	return nil
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

// stringAt checks a string index that came with the given field.
func (d *Decoder) stringAt(i uint64, field string) (uint32, error) {
	if i >= uint64(d.names.sent) {
		return 0, malformed("%s is %d; string_table has %d entries", field, int64(i), d.names.sent)
	}
	return uint32(i), nil
}
