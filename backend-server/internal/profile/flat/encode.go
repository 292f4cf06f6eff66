package flat

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// version is the first byte of a message. One that reads otherwise gets
// another. While an installation is updated both sorts of processes run, so what
// writes a new version must come a release later than what reads it.
const version = 1

// The kinds of parts.
const (
	partSymbols = 1
	partRecord  = 2
	partSamples = 3
)

// AppendProfile appends a whole profile to dst.
func AppendProfile(dst []byte, p *profile.Profile) []byte {
	var e encoder
	dst = append(dst, version)
	dst = e.symbols(dst, p)
	dst = append(dst, partSamples)
	dst = binary.AppendUvarint(dst, uint64(len(p.LabelSets)))
	for _, set := range p.LabelSets {
		dst = binary.AppendUvarint(dst, uint64(len(set)))
		for _, l := range set {
			dst = appendText(appendText(dst, l.Name), l.Value)
		}
	}
	c := e.column(len(p.Samples))
	for i := range c {
		c[i] = uint64(p.Samples[i].Group)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c)))
	dst = appendColumn(dst, c, 0)
	return e.samples(dst, p, 0, len(p.Samples))
}

// encoder keeps memory from one part to the next.
type encoder struct {
	scratch []uint64
	indices []uint32
}

// column returns room for n numbers, that of the column before.
func (e *encoder) column(n int) []uint64 {
	e.scratch = sized(e.scratch, n)
	return e.scratch
}

func appendType(dst []byte, t profile.ValueType) []byte {
	return appendText(appendText(dst, t.Type), t.Unit)
}

// symbols appends the part that records of p need but have in common.
func (e *encoder) symbols(dst []byte, p *profile.Profile) []byte {
	dst = append(dst, partSymbols)
	dst = binary.AppendUvarint(dst, uint64(len(p.Types)))
	for _, t := range p.Types {
		dst = appendType(dst, t)
	}
	dst = appendType(dst, p.PeriodType)
	dst = appendSigned(dst, p.Period)
	dst = appendSigned(dst, p.TimeNanos)
	dst = appendSigned(dst, p.DurationNanos)
	for _, n := range [...]int{p.Dropped.NegativeSamples, p.Dropped.ZeroSamples, p.Dropped.TruncatedStacks, p.Dropped.UnlabelledSamples} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	dst = e.strings(dst, p.Strings)
	dst = e.mappings(dst, p.Mappings)
	dst = e.functions(dst, p.Functions)
	return e.locations(dst, p)
}

func (e *encoder) strings(dst []byte, list []string) []byte {
	c, total := e.column(len(list)), 0
	for i, s := range list {
		c[i] = uint64(len(s))
		total += len(s)
	}
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	dst = appendColumn(dst, c, 1)
	dst = grow(dst, total)
	for _, s := range list {
		dst = append(dst, s...)
	}
	return dst
}

func (e *encoder) mappings(dst []byte, list []profile.Mapping) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	c := e.column(len(list))
	for i := range list {
		c[i] = list[i].Start
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = list[i].Limit
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = list[i].Offset
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = uint64(list[i].File)
	}
	dst = appendColumn(dst, c, 1)
	for i := range list {
		c[i] = uint64(list[i].BuildID)
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = 0
		if list[i].HasFunctions {
			c[i] = 1
		}
	}
	return appendColumn(dst, c, 0)
}

func (e *encoder) functions(dst []byte, list []profile.Function) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	c := e.column(len(list))
	for i := range list {
		c[i] = uint64(list[i].Name)
	}
	dst = appendColumn(dst, c, 1)
	for i := range list {
		c[i] = uint64(list[i].SystemName)
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = uint64(list[i].Filename)
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = uint64(list[i].StartLine)
	}
	return appendColumn(dst, c, 0)
}

// locations appends the locations and their lines, in the order of locations
// whatever their order in p.
func (e *encoder) locations(dst []byte, p *profile.Profile) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.Locations)))
	c := e.column(len(p.Locations))
	for i := range p.Locations {
		c[i] = uint64(p.Locations[i].Mapping)
	}
	dst = appendColumn(dst, c, 0)
	for i := range p.Locations {
		c[i] = p.Locations[i].Address
	}
	dst = appendColumn(dst, c, 0)
	lines := 0
	for i := range p.Locations {
		n := p.Locations[i].LineEnd - p.Locations[i].LineStart
		c[i] = uint64(n)
		lines += int(n)
	}
	dst = appendColumn(dst, c, 1)

	c = e.column(lines)[:0]
	for i := range p.Locations {
		for _, line := range p.Lines[p.Locations[i].LineStart:p.Locations[i].LineEnd] {
			c = append(c, uint64(line.Function))
		}
	}
	dst = appendColumn(dst, c, 1)
	c = c[:0]
	for i := range p.Locations {
		for _, line := range p.Lines[p.Locations[i].LineStart:p.Locations[i].LineEnd] {
			c = append(c, uint64(line.Line))
		}
	}
	return appendColumn(dst, c, 0)
}

// samples appends the samples [from, to) without their groups and their number.
func (e *encoder) samples(dst []byte, p *profile.Profile, from, to int) []byte {
	list := p.Samples[from:to]
	c, total := e.column(len(list)), 0
	for i := range list {
		n := list[i].FrameEnd - list[i].FrameStart
		c[i] = uint64(n)
		total += int(n)
	}
	dst = appendColumn(dst, c, 1)
	dst = appendColumn(dst, e.frames(p, list, total), 1)
	width := len(p.Types)
	for t := range p.Types {
		for i := range list {
			c[i] = uint64(p.Values[(from+i)*width+t])
		}
		dst = appendColumn(dst, c, 1)
	}
	for i := range list {
		c[i] = list[i].SpanID
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = binary.LittleEndian.Uint64(list[i].TraceID[:8])
	}
	dst = appendColumn(dst, c, 0)
	for i := range list {
		c[i] = binary.LittleEndian.Uint64(list[i].TraceID[8:])
	}
	return appendColumn(dst, c, 0)
}

// frames returns the frames of samples one after the other, which is how they
// lie in p if a decoder made it.
func (e *encoder) frames(p *profile.Profile, list []profile.Sample, total int) []uint32 {
	if total == 0 {
		return nil
	}
	start, next := uint32(math.MaxUint32), uint32(0)
	for i := range list {
		switch s := &list[i]; {
		case s.FrameStart == s.FrameEnd:
		case start == math.MaxUint32:
			start, next = s.FrameStart, s.FrameEnd
		case s.FrameStart == next:
			next = s.FrameEnd
		default:
			return e.gather(p, list, total)
		}
	}
	return p.Frames[start:next]
}

func (e *encoder) gather(p *profile.Profile, list []profile.Sample, total int) []uint32 {
	e.indices = sized(e.indices, total)[:0]
	for i := range list {
		e.indices = append(e.indices, p.Frames[list[i].FrameStart:list[i].FrameEnd]...)
	}
	return e.indices
}

// record appends a record's part.
func (e *encoder) record(dst []byte, rec *profile.Record) []byte {
	dst = append(dst, partRecord)
	dst = binary.LittleEndian.AppendUint64(dst, rec.ID)
	dst = appendSigned(dst, int64(rec.Time))
	dst = binary.AppendUvarint(dst, uint64(rec.Labels.Len()))
	rec.Labels.Range(func(l labels.Label) { dst = appendText(appendText(dst, l.Name), l.Value) })
	dst = binary.AppendUvarint(dst, uint64(rec.SampleEnd-rec.SampleStart))
	return e.samples(dst, rec.Profile, rec.SampleStart, rec.SampleEnd)
}
