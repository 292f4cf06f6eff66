package pprof

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Encode returns p in the pprof wire format, not compressed. What Decode took
// away (unused numbers, addresses of symbolised frames) is not brought back;
// span and trace IDs become the labels span_id and trace_id again. A profile
// with one sample type names it as the default one.
func Encode(p *profile.Profile) []byte {
	e := &encoder{strings: p.Strings, extra: map[string]uint64{}}
	for _, t := range p.Types {
		e.message(1, e.valueType(t))
	}
	for i := range p.Samples {
		e.message(2, e.sample(p, i))
	}
	for i := 1; i < len(p.Mappings); i++ {
		e.message(3, e.mapping(uint64(i), p.Mappings[i]))
	}
	for i, l := range p.Locations {
		e.message(4, e.location(uint64(i)+1, l, p.Lines[l.LineStart:l.LineEnd]))
	}
	for i, f := range p.Functions {
		e.message(5, e.function(uint64(i)+1, f))
	}
	e.out = appendNumber(e.out, 9, uint64(p.TimeNanos))
	e.out = appendNumber(e.out, 10, uint64(p.DurationNanos))
	if p.PeriodType != (profile.ValueType{}) {
		e.message(11, e.valueType(p.PeriodType))
	}
	e.out = appendNumber(e.out, 12, uint64(p.Period))
	if len(p.Types) == 1 {
		e.out = appendNumber(e.out, 14, e.text(p.Types[0].Type))
	}
	for _, s := range p.Strings {
		e.out = appendBytes(e.out, 6, s)
	}
	for _, s := range e.added {
		e.out = appendBytes(e.out, 6, s)
	}
	return e.out
}

type encoder struct {
	out     []byte
	scratch []byte // one message
	packed  []byte // one field of it, or a message in it

	strings []string          // the profile's own
	extra   map[string]uint64 // strings that are not in it, to their indices
	added   []string
}

// message appends a message that was put together in scratch.
func (e *encoder) message(field int, m []byte) {
	e.out = appendBytes(e.out, field, m)
	e.scratch = m[:0]
}

// text returns the index of a string that the profile may not have in its
// table.
func (e *encoder) text(s string) uint64 {
	if s == "" {
		return 0
	}
	i, ok := e.extra[s]
	if !ok {
		i = uint64(len(e.strings) + len(e.added))
		e.extra[s] = i
		e.added = append(e.added, s)
	}
	return i
}

func (e *encoder) valueType(t profile.ValueType) []byte {
	m := appendNumber(e.scratch, 1, e.text(t.Type))
	return appendNumber(m, 2, e.text(t.Unit))
}

func (e *encoder) sample(p *profile.Profile, i int) []byte {
	s := &p.Samples[i]
	e.packed = e.packed[:0]
	for _, l := range p.Frames[s.FrameStart:s.FrameEnd] {
		e.packed = binary.AppendUvarint(e.packed, uint64(l)+1)
	}
	m := e.scratch
	if len(e.packed) > 0 {
		m = appendBytes(m, 1, e.packed)
	}
	e.packed = e.packed[:0]
	for _, v := range p.Row(i) {
		e.packed = binary.AppendUvarint(e.packed, uint64(v))
	}
	m = appendBytes(m, 2, e.packed)
	if int(s.Group) < len(p.LabelSets) {
		for _, l := range p.LabelSets[s.Group] {
			m = e.label(m, l.Name, l.Value)
		}
	}
	if s.SpanID != 0 {
		var id [8]byte
		binary.BigEndian.PutUint64(id[:], s.SpanID)
		m = e.label(m, "span_id", hex.EncodeToString(id[:]))
	}
	if s.TraceID != ([16]byte{}) {
		m = e.label(m, "trace_id", hex.EncodeToString(s.TraceID[:]))
	}
	return m
}

func (e *encoder) label(m []byte, key, value string) []byte {
	e.packed = appendNumber(e.packed[:0], 1, e.text(key))
	e.packed = appendNumber(e.packed, 2, e.text(value))
	return appendBytes(m, 3, e.packed)
}

func (e *encoder) mapping(id uint64, mp profile.Mapping) []byte {
	m := appendNumber(e.scratch, 1, id)
	m = appendNumber(m, 2, mp.Start)
	m = appendNumber(m, 3, mp.Limit)
	m = appendNumber(m, 4, mp.Offset)
	m = appendNumber(m, 5, uint64(mp.File))
	m = appendNumber(m, 6, uint64(mp.BuildID))
	if mp.HasFunctions {
		m = appendNumber(m, 7, 1)
	}
	return m
}

func (e *encoder) location(id uint64, l profile.Location, lines []profile.Line) []byte {
	m := appendNumber(e.scratch, 1, id)
	m = appendNumber(m, 2, uint64(l.Mapping))
	m = appendNumber(m, 3, l.Address)
	for _, line := range lines {
		e.packed = appendNumber(e.packed[:0], 1, uint64(line.Function)+1)
		e.packed = appendNumber(e.packed, 2, uint64(line.Line))
		m = appendBytes(m, 4, e.packed)
	}
	return m
}

func (e *encoder) function(id uint64, f profile.Function) []byte {
	m := appendNumber(e.scratch, 1, id)
	m = appendNumber(m, 2, uint64(f.Name))
	m = appendNumber(m, 3, uint64(f.SystemName))
	m = appendNumber(m, 4, uint64(f.Filename))
	return appendNumber(m, 5, uint64(f.StartLine))
}

// appendNumber appends a number field; zero is the default and takes no room.
func appendNumber(dst []byte, field int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(field)<<3|wireVarint)
	return binary.AppendUvarint(dst, v)
}

func appendBytes[T string | []byte](dst []byte, field int, v T) []byte {
	dst = binary.AppendUvarint(dst, uint64(field)<<3|wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}
