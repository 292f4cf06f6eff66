package pprof

import (
	"math"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Defaults of Options.
const (
	DefaultMaxSize            = 64 << 20
	DefaultMaxStackDepth      = 4096
	DefaultMaxSampleLabelSets = 100
)

// Options bound what a profile may hold. A zero field stands for its default.
type Options struct {
	MaxSize            int64 // bytes after decompression; more is an error
	MaxStackDepth      int   // frames; deeper stacks are cut
	MaxSampleLabelSets int   // distinct label sets of samples; further ones are dropped, the samples kept
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	// Positions in the bytes are kept in 32 bits.
	o.MaxSize = min(o.MaxSize, math.MaxInt32)
	if o.MaxStackDepth <= 0 {
		o.MaxStackDepth = DefaultMaxStackDepth
	}
	if o.MaxSampleLabelSets <= 0 {
		o.MaxSampleLabelSets = DefaultMaxSampleLabelSets
	}
	return o
}

// A Decoder decodes one profile after the other into the same arrays. The zero
// Decoder is ready for use; it must not be used by two goroutines at once.
type Decoder struct {
	opts     Options
	inflater inflater
	plain    []byte // the message being decoded
	out      profile.Profile

	found      [8][]span // the messages and strings of the profile, by field number
	periodType typeRef

	mappingIDs, functionIDs, locationIDs idTable

	names    nameTable
	labels   labelTable
	maxLines uint32 // most lines of one location

	truncatedAt  uint32 // the location [truncated], once made
	spareSamples []profile.Sample
	spareValues  []int64
	nextInGroup  []int

	mostStrings int // since the strings were last forgotten
}

// A span is where a message lies in the bytes.
type span struct{ start, end uint32 }

// A typeRef is a ValueType whose strings are still indices, unchecked.
type typeRef struct{ typ, unit uint64 }

// Decode decodes raw, which may be compressed, into a normalised profile. The
// profile and its strings are good until the next call of Decode or Reset, and
// only while the caller leaves raw as it is.
func (d *Decoder) Decode(raw []byte, opts Options) (*profile.Profile, error) {
	d.opts = opts.withDefaults()
	d.plain = raw
	if IsGzip(raw) {
		var err error
		if d.plain, err = d.inflater.inflate(raw, d.opts.MaxSize); err != nil {
			return nil, err
		}
	}
	switch {
	case len(d.plain) == 0:
		return nil, malformed("profile is empty: 0 bytes")
	case int64(len(d.plain)) > d.opts.MaxSize:
		return nil, tooLarge("uncompressed", d.opts.MaxSize)
	}
	d.begin()
	for _, step := range [...]func(*Decoder) error{
		(*Decoder).walk, (*Decoder).decodeStrings, (*Decoder).decodeTypes, (*Decoder).decodeMappings, (*Decoder).decodeFunctions,
		(*Decoder).decodeLocations, (*Decoder).decodeSamples,
	} {
		if err := step(d); err != nil {
			return nil, err
		}
	}
	d.sortByGroup()
	return &d.out, nil
}

// Plain returns the decompressed bytes of the profile last decoded. They are
// good as long as the profile is.
func (d *Decoder) Plain() []byte { return d.plain }

// maxKept is the most memory a Decoder takes along into its next use.
const maxKept = 16 << 20

// Reset forgets the profile and its bytes, and lets go of unusually large
// buffers, so that the Decoder can wait in a pool.
func (d *Decoder) Reset() {
	if d.memory() > maxKept {
		*d = Decoder{}
		return
	}
	d.plain = nil
	d.begin()
	clear(d.out.Strings[:d.mostStrings])
	clear(d.out.Types[:cap(d.out.Types)])
	d.mostStrings = 0
	d.labels.forget()
}

// memory returns about how many bytes the Decoder holds.
func (d *Decoder) memory() int {
	o := &d.out
	found := 0
	for _, list := range d.found {
		found += cap(list)
	}
	return cap(d.inflater.buf) + cap(d.names.arena) + found*8 +
		cap(o.Strings)*16 + cap(o.Functions)*24 + cap(o.Lines)*16 + cap(o.Locations)*24 +
		cap(o.Frames)*4 + (cap(o.Samples)+cap(d.spareSamples))*40 + (cap(o.Values)+cap(d.spareValues))*8
}

// begin empties all arrays, keeping their memory.
func (d *Decoder) begin() {
	o := &d.out
	d.mostStrings = max(d.mostStrings, len(o.Strings))
	d.out = profile.Profile{
		Types: o.Types[:0], Strings: o.Strings[:0], Mappings: o.Mappings[:0], Functions: o.Functions[:0],
		Lines: o.Lines[:0], Locations: o.Locations[:0], Frames: o.Frames[:0], Samples: o.Samples[:0],
		Values: o.Values[:0], LabelSets: o.LabelSets[:0],
	}
	for i := range d.found {
		d.found[i] = d.found[i][:0]
	}
	d.periodType, d.maxLines = typeRef{}, 0
	d.names.reset()
	d.labels.reset()
}

// readType reads a ValueType message.
func readType(b []byte, at span) (typeRef, error) {
	var n numberFields
	err := n.read(b, at, 2)
	return typeRef{n[1], n[2]}, err
}

// decodeTypes decodes the sample types and resolves the period type.
func (d *Decoder) decodeTypes() error {
	if len(d.found[fieldType]) == 0 {
		return malformed("sample_type is missing: the profile has no sample types")
	}
	for i, at := range d.found[fieldType] {
		ref, err := readType(d.plain, at)
		if err != nil {
			return malformed("sample_type[%d]: %w", i, err)
		}
		vt, err := d.valueType(ref, "sample_type")
		if err != nil {
			return err
		}
		d.out.Types = append(d.out.Types, vt)
	}
	var err error
	d.out.PeriodType, err = d.valueType(d.periodType, "period_type")
	return err
}

func (d *Decoder) valueType(ref typeRef, field string) (vt profile.ValueType, err error) {
	typ, err := d.stringAt(ref.typ, "type")
	if err != nil {
		return vt, malformed("%s: %w", field, err)
	}
	unit, err := d.stringAt(ref.unit, "unit")
	if err != nil {
		return vt, malformed("%s: %w", field, err)
	}
	return profile.ValueType{Type: d.out.Strings[typ], Unit: d.out.Strings[unit]}, nil
}

// maxQuoted is how much of a client's string an error message repeats.
const maxQuoted = 64

func shorten(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "..."
	}
	return s
}

func malformed(format string, args ...any) error {
	return fault.Reason(fault.Invalid, "malformed_profile", format, args...)
}
