package pprof

import (
	"encoding/binary"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// decodeSamples fills Samples, Frames and Values, dropping what normalisation
// drops.
func (d *Decoder) decodeSamples() error {
	for n, at := range d.found[fieldSample] {
		if err := d.sample(at); err != nil {
			return malformed("sample[%d]: %w", n, err)
		}
	}
	return nil
}

// sample decodes one sample. Its frames and values go straight to where they
// stay, and are taken back if the sample is dropped.
func (d *Decoder) sample(at span) error {
	o := &d.out
	s := profile.Sample{FrameStart: uint32(len(o.Frames))}
	firstValue := len(o.Values)
	d.labels.sent = d.labels.sent[:0]
	if err := d.sampleFields(at); err != nil {
		return err
	}
	if got := len(o.Values) - firstValue; got != len(o.Types) {
		return malformed("has %d values; sample_type has %d entries", got, len(o.Types))
	}
	if !d.keep(o.Values[firstValue:]) {
		o.Frames, o.Values = o.Frames[:s.FrameStart], o.Values[:firstValue]
		return nil
	}
	d.cutStack(int(s.FrameStart))
	s.FrameEnd = uint32(len(o.Frames))
	if len(d.labels.sent) > 0 {
		d.labels.assign(o, &s, d.opts.MaxSampleLabelSets)
	}
	o.Samples = append(o.Samples, s)
	return nil
}

// sampleFields takes the fields of a sample. Those with a length are packed
// numbers and labels; two numbers or fewer may come without, as values do from
// Go.
func (d *Decoder) sampleFields(at span) (err error) {
	b := d.plain[:at.end]
	for i := int(at.start); i < len(b); {
		tag := b[i]
		if tag == 2<<3|wireVarint {
			if v, next := uvarint(b, i+1); next >= 0 {
				d.out.Values = append(d.out.Values, int64(v))
				i = next
				continue
			}
		}
		start, end := embedded(b, i+1)
		switch {
		case tag == 1<<3|wireBytes && end >= 0:
			err = d.frames(b[start:end])
		case tag == 2<<3|wireBytes && end >= 0:
			err = d.values(span{uint32(start), uint32(end)})
		case tag == 3<<3|wireBytes && end >= 0:
			err = d.label(span{uint32(start), uint32(end)})
		default:
			end, err = d.sampleField(b, i)
		}
		if err != nil {
			return err
		}
		i = end
	}
	return nil
}

// sampleField takes the field of a sample at b[i:], whatever it is.
func (d *Decoder) sampleField(b []byte, i int) (int, error) {
	var f wireField
	i, err := f.next(b, i)
	switch {
	case err != nil || f.number == 0 || f.number > 3:
	case f.wire == wireBytes && f.number == 1:
		err = d.frames(f.data)
	case f.wire == wireBytes && f.number == 2:
		err = d.values(span{uint32(i - len(f.data)), uint32(i)})
	case f.wire == wireBytes:
		err = d.label(span{uint32(i - len(f.data)), uint32(i)})
	case f.wire != wireVarint || f.number == 3:
		err = errType
	case f.number == 2:
		d.out.Values = append(d.out.Values, int64(f.num))
	default:
		index, ok := d.locationIDs.find(f.num)
		if !ok {
			return i, unknownLocation(f.num)
		}
		d.out.Frames = append(d.out.Frames, index)
	}
	return i, err
}

// frames appends the locations of the packed IDs in b to Frames.
func (d *Decoder) frames(b []byte) error {
	out := d.out.Frames
	i, n := usualFrames(b, out[len(out):cap(out)], d.locationIDs.inOrder)
	for out = out[:len(out)+n]; i < len(b); {
		var id uint64
		if id, i = uvarint(b, i); i < 0 {
			return errVarint
		}
		index, ok := d.locationIDs.find(id)
		if !ok {
			return unknownLocation(id)
		}
		out = append(out, index)
	}
	d.out.Frames = out
	return nil
}

// usualFrames writes the indices of packed IDs from 1 to inOrder to out, as
// long as they have at most three bytes and out has room. It returns the position
// that it came to and how many there were. It calls nothing, so that all it
// works with stays in registers.
func usualFrames(b []byte, out []uint32, inOrder uint64) (i, n int) {
	for i < len(b) && n < len(out) {
		id, next := uint64(b[i]), i+1
		if id >= 0x80 {
			if next >= len(b) {
				break
			}
			id = id&0x7f | uint64(b[next])<<7
			if next++; id > maxShort {
				if next >= len(b) || b[next] >= 0x80 {
					break
				}
				id = id&maxShort | uint64(b[next])<<14
				next++
			}
		}
		if id-1 >= inOrder {
			break
		}
		out[n] = uint32(id - 1)
		n++
		i = next
	}
	return i, n
}

func unknownLocation(id uint64) error {
	return malformed("location_id is %d; no location has this id", id)
}

// values appends the packed numbers at the given place to Values.
func (d *Decoder) values(at span) error {
	out, b := d.out.Values, d.plain[:at.end]
	i, n := usualValues(d.plain, at, out[len(out):cap(out)])
	for out = out[:len(out)+n]; i < len(b); {
		var v uint64
		if v, i = uvarint(b, i); i < 0 {
			return errVarint
		}
		out = append(out, int64(v))
	}
	if i > len(b) {
		return errVarint
	}
	d.out.Values = out
	return nil
}

// usualValues writes the packed numbers at the given place to out, as long as
// they have at most four bytes, four bytes are left of b, and out has room. It
// returns the position that it came to and how many there were. It calls
// nothing, like usualFrames.
func usualValues(b []byte, at span, out []int64) (i, n int) {
	i = int(at.start)
	for i < int(at.end) && n < len(out) && i+4 <= len(b) {
		w := uint64(binary.LittleEndian.Uint32(b[i:]))
		size := 1
		if w&0x80 == 0 {
			w &= 0x7f
		} else if w&0x8000 == 0 {
			w, size = w&0x7f|w>>1&0x3f80, 2
		} else if w&0x800000 == 0 {
			w, size = w&0x7f|w>>1&0x3f80|w>>2&0x1fc000, 3
		} else if w&0x80000000 == 0 {
			w, size = w&0x7f|w>>1&0x3f80|w>>2&0x1fc000|w>>3&0xfe00000, 4
		} else {
			break
		}
		out[n] = int64(w)
		n++
		i += size
	}
	return i, n
}

// keep reports whether a sample of these values stays, and counts it if not.
func (d *Decoder) keep(values []int64) bool {
	var signs, any int64
	for _, v := range values {
		signs |= v
		any |= v
	}
	switch {
	case signs < 0:
		d.out.Dropped.NegativeSamples++
	case any == 0:
		d.out.Dropped.ZeroSamples++
	default:
		return true
	}
	return false
}

// cutStack shortens the stack that Frames ends with, from start on, to
// MaxStackDepth frames. The leaf's end stays.
func (d *Decoder) cutStack(start int) {
	o, limit := &d.out, d.opts.MaxStackDepth
	stack := o.Frames[start:]
	if uint64(len(stack))*uint64(max(d.maxLines, 1)) <= uint64(limit) {
		return
	}
	depth, kept := 0, 0
	for _, loc := range stack {
		depth += int(o.Locations[loc].LineEnd - o.Locations[loc].LineStart)
		if depth < limit {
			kept++
		}
	}
	if depth <= limit {
		return
	}
	o.Dropped.TruncatedStacks++
	o.Frames = append(o.Frames[:start+kept], d.truncated())
}

// truncated returns the location that stands for what was cut off.
func (d *Decoder) truncated() uint32 {
	o, first := &d.out, !d.names.truncated.made
	line := d.names.shared(o, &d.names.truncated, truncatedFrame)
	if first {
		o.Locations = append(o.Locations, profile.Location{LineStart: line, LineEnd: line + 1})
		d.truncatedAt = uint32(len(o.Locations) - 1)
	}
	return d.truncatedAt
}

// sortByGroup brings samples of one label set together, keeping their order
// within it.
func (d *Decoder) sortByGroup() {
	o := &d.out
	d.labels.finish(o)
	sorted := true
	for i := 1; i < len(o.Samples) && sorted; i++ {
		sorted = o.Samples[i-1].Group <= o.Samples[i].Group
	}
	if sorted {
		return
	}
	// A counting sort into the spare arrays, which then change places.
	d.nextInGroup = grown(d.nextInGroup, len(o.LabelSets)+1)
	next := d.nextInGroup
	clear(next)
	for _, s := range o.Samples {
		next[s.Group+1]++
	}
	for g := 1; g < len(next); g++ {
		next[g] += next[g-1]
	}
	width := len(o.Types)
	samples, values := grown(d.spareSamples, len(o.Samples)), grown(d.spareValues, len(o.Values))
	for i, s := range o.Samples {
		to := next[s.Group]
		next[s.Group]++
		samples[to] = s
		copy(values[to*width:(to+1)*width], o.Row(i))
	}
	d.spareSamples, o.Samples = o.Samples, samples
	d.spareValues, o.Values = o.Values, values
}

// grown returns s with length n, in new memory if need be.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
