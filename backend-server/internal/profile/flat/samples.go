package flat

import (
	"encoding/binary"
	"math"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// samples reads n samples and adds them to p.
func (d *Decoder) samples(p *profile.Profile, n int) {
	from := len(p.Samples)
	frames := d.frameCounts(p, n)
	if d.r.err != nil {
		return
	}
	// The frames of earlier records stay where they are.
	first := len(p.Frames)
	p.Frames = extend(p.Frames, frames)
	part, most := readColumn(&d.r, p.Frames[first:first:len(p.Frames)], frames, 1, "samples.frames")
	below(&d.r, part, most, len(p.Locations), "samples.frames")
	d.values(p, from, n)
	out := p.Samples[from:]
	for i, v := range d.column(n, 0, "samples.span_id") {
		out[i].SpanID = v
	}
	for i, v := range d.column(n, 0, "samples.trace_id") {
		binary.LittleEndian.PutUint64(out[i].TraceID[:8], v)
	}
	for i, v := range d.column(n, 0, "samples.trace_id") {
		binary.LittleEndian.PutUint64(out[i].TraceID[8:], v)
	}
}

// frameCounts makes the samples and says where their frames will be. It returns
// how many those are.
func (d *Decoder) frameCounts(p *profile.Profile, n int) int {
	counts := d.column(n, 1, "samples.frame_count")
	if d.r.err != nil {
		return 0
	}
	from, at := len(p.Samples), uint64(len(p.Frames))
	p.Samples = extend(p.Samples, n)
	limit := at + uint64(len(d.r.b))
	for i, v := range counts {
		if v > math.MaxUint32 || at+v > limit {
			d.r.fail("samples: they have more frames than the %d bytes that are left", len(d.r.b))
			return 0
		}
		p.Samples[from+i] = profile.Sample{FrameStart: uint32(at), FrameEnd: uint32(at + v)}
		at += v
	}
	return int(at) - len(p.Frames)
}

// values reads the values of the samples from the given one on, of which there
// are n (P3).
func (d *Decoder) values(p *profile.Profile, from, n int) {
	width := len(p.Types)
	if d.r.err != nil || n*width > len(d.r.b) { // each costs a byte
		d.r.fail("samples: %d of %d values do not fit into %d bytes", n, width, len(d.r.b))
		return
	}
	p.Values = extend(p.Values, n*width)
	out := p.Values[from*width:]
	d.seen = sized(d.seen, n)
	clear(d.seen) // the bitwise or of the values of each sample
	for t := range width {
		for i, v := range d.column(n, 1, "samples.value") {
			out[i*width+t] = int64(v)
			d.seen[i] |= v
		}
	}
	if d.r.err != nil {
		return
	}
	for i, v := range d.seen {
		if v == 0 || v > math.MaxInt64 {
			d.r.fail("sample %d has only zeros or a negative value: %d", from+i, out[i*width:(i+1)*width])
			return
		}
	}
}

// extend returns s with n more elements, which may hold anything.
func extend[T any](s []T, n int) []T {
	if cap(s)-len(s) < n {
		out := make([]T, len(s)+n, max(len(s)+n, 2*cap(s)))
		copy(out, s)
		return out
	}
	return s[:len(s)+n]
}

// setGroups gives all samples of p their groups (P5).
func (d *Decoder) setGroups(p *profile.Profile, groups []uint64) {
	if d.r.err != nil {
		return
	}
	last := uint64(0)
	for i, g := range groups {
		if g < last || g >= uint64(len(p.LabelSets)) {
			d.r.fail("samples[%d].group is %d after %d; groups must ascend, and there are %d", i, g, last, len(p.LabelSets))
			return
		}
		p.Samples[i].Group, last = uint32(g), g
	}
}
