package flat

import (
	"math"
	"unicode/utf8"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// DecodeProfile decodes what AppendProfile has written. The strings of the
// profile lie in b, which must stay as it is.
func DecodeProfile(b []byte) (*profile.Profile, error) {
	return new(Decoder).Profile(b)
}

// Decoder decodes one message after the other into the same memory. The zero
// Decoder is ready for use; it must not be used by two goroutines at once.
type Decoder struct {
	r        reader
	profiles []*profile.Profile // the first used are of the message
	used     int
	recs     []profile.Record

	scratch, groups, seen []uint64
	names                 labels.ScratchBuilder
}

// Profile decodes what AppendProfile has written. The profile and its strings
// are good until the decoder is used again, and only while b stays as it is.
func (d *Decoder) Profile(b []byte) (*profile.Profile, error) {
	d.begin(b)
	d.part(partSymbols)
	p := d.symbols()
	d.part(partSamples)
	d.labelSets(p)
	n := d.r.count("samples")
	d.groups, _ = readColumn(&d.r, d.groups, n, 0, "samples.group")
	d.samples(p, n)
	d.setGroups(p, d.groups)
	if len(d.r.b) > 0 {
		d.r.fail("%d bytes are left over", len(d.r.b))
	}
	if d.r.err != nil {
		return nil, d.r.err
	}
	return p, nil
}

// begin takes a new message.
func (d *Decoder) begin(b []byte) {
	d.r = reader{b: b}
	d.used, d.recs = 0, d.recs[:0]
	if v := d.r.byte("version"); v != version && d.r.err == nil {
		d.r.err = fault.New(fault.Unimplemented, "encoded profile: the version is %d; this process knows %d", v, version)
		d.r.b = nil
	}
}

// part expects a part of the given kind.
func (d *Decoder) part(want byte) {
	if got := d.r.byte("part"); got != want && d.r.err == nil {
		d.unknownPart(got)
	}
}

func (d *Decoder) unknownPart(kind byte) {
	d.r.err = fault.New(fault.Unimplemented, "encoded profile: a part of kind %d is not known or not expected here", kind)
	d.r.b = nil
}

// maxKept is the most memory a Decoder takes along into its next use.
const maxKept = 16 << 20

// Reset forgets the message, and lets go of unusually large memory, so that the
// Decoder can wait in a pool.
func (d *Decoder) Reset() {
	kept := 8*(cap(d.scratch)+cap(d.groups)+cap(d.seen)) + 64*cap(d.recs)
	for _, p := range d.profiles {
		kept += cap(p.Strings)*16 + cap(p.Mappings)*40 + cap(p.Functions)*24 + cap(p.Lines)*16 + cap(p.Locations)*24 +
			cap(p.Frames)*4 + cap(p.Samples)*40 + cap(p.Values)*8 + cap(p.LabelSets)*24 + cap(p.Types)*32
	}
	if kept > maxKept {
		*d = Decoder{}
		return
	}
	d.r, d.names = reader{}, labels.ScratchBuilder{}
	clear(d.recs[:cap(d.recs)])
	for _, p := range d.profiles {
		clear(p.Strings[:cap(p.Strings)])
		clear(p.Types[:cap(p.Types)])
		clear(p.LabelSets[:cap(p.LabelSets)])
		p.PeriodType = profile.ValueType{}
	}
	d.used, d.recs = 0, d.recs[:0]
}

// next returns an empty profile with the memory of an earlier one.
func (d *Decoder) next() *profile.Profile {
	if d.used == len(d.profiles) {
		d.profiles = append(d.profiles, new(profile.Profile))
	}
	p := d.profiles[d.used]
	d.used++
	*p = profile.Profile{
		Types: p.Types[:0], Strings: p.Strings[:0], Mappings: p.Mappings[:0], Functions: p.Functions[:0], Lines: p.Lines[:0],
		Locations: p.Locations[:0], Frames: p.Frames[:0], Samples: p.Samples[:0], Values: p.Values[:0], LabelSets: p.LabelSets[:0],
	}
	return p
}

// column reads a column of n numbers, good until the next one is read.
func (d *Decoder) column(n, least int, what string) []uint64 {
	d.scratch, _ = readColumn(&d.r, d.scratch, n, least, what)
	return d.scratch
}

// indices is column for indices below limit.
func (d *Decoder) indices(n, least, limit int, what string) []uint64 {
	c, most := readColumn(&d.r, d.scratch, n, least, what)
	below(&d.r, c, most, limit, what)
	if d.scratch = c; d.r.err != nil {
		return c[:0]
	}
	return c
}

func (d *Decoder) valueType(what string) profile.ValueType {
	return profile.ValueType{Type: d.valid(d.r.text(what)), Unit: d.valid(d.r.text(what))}
}

// valid reports a text that is not UTF-8.
func (d *Decoder) valid(s string) string {
	if !utf8.ValidString(s) {
		d.r.fail("a text is not UTF-8: %q", s[:min(len(s), maxQuoted)])
	}
	return s
}

// maxQuoted is how much of a text an error message repeats.
const maxQuoted = 64

func (d *Decoder) symbols() *profile.Profile {
	p := d.next()
	for range d.r.count("types") {
		p.Types = append(p.Types, d.valueType("types"))
		if d.r.err != nil {
			return p
		}
	}
	p.PeriodType = d.valueType("period type")
	p.Period = d.r.signed("period")
	p.TimeNanos = d.r.signed("time")
	p.DurationNanos = d.r.signed("duration")
	for _, to := range [...]*int{&p.Dropped.NegativeSamples, &p.Dropped.ZeroSamples, &p.Dropped.TruncatedStacks, &p.Dropped.UnlabelledSamples} {
		n := d.r.number("dropped")
		if n > math.MaxInt {
			d.r.fail("dropped: the count %d is too large", n)
		}
		*to = int(n)
	}
	d.strings(p)
	d.mappings(p)
	d.functions(p)
	d.locations(p)
	return p
}

func (d *Decoder) strings(p *profile.Profile) {
	lengths := d.column(d.r.count("strings"), 1, "strings.length")
	total := uint64(0)
	for _, n := range lengths {
		if total += n; total > uint64(len(d.r.b)) || n > uint64(len(d.r.b)) {
			d.r.fail("strings: they are longer than the %d bytes that are left", len(d.r.b))
			return
		}
	}
	if len(lengths) > 0 && lengths[0] != 0 {
		d.r.fail("strings[0] has %d bytes; it must be empty", lengths[0])
		return
	}
	all := unsafe.String(unsafe.SliceData(d.r.b), int(total))
	d.r.b = d.r.b[total:]
	// The strings are UTF-8 if all together are and none begins within a rune.
	if !utf8.ValidString(all) {
		d.r.fail("strings: they are not UTF-8")
		return
	}
	p.Strings = sized(p.Strings, len(lengths))
	for i, n := range lengths {
		p.Strings[i] = all[:n]
		if n > 0 && !utf8.RuneStart(all[0]) {
			d.r.fail("strings[%d] is not UTF-8", i)
			return
		}
		all = all[n:]
	}
}

func (d *Decoder) mappings(p *profile.Profile) {
	n := d.r.count("mappings")
	start := d.column(n, 0, "mappings.start")
	if d.r.err != nil {
		return
	}
	p.Mappings = sized(p.Mappings, n)
	out := p.Mappings
	for i, v := range start {
		out[i] = profile.Mapping{Start: v}
	}
	for i, v := range d.column(n, 0, "mappings.limit") {
		out[i].Limit = v
	}
	for i, v := range d.column(n, 0, "mappings.offset") {
		out[i].Offset = v
	}
	for i, v := range d.indices(n, 1, len(p.Strings), "mappings.file") {
		out[i].File = uint32(v)
	}
	for i, v := range d.indices(n, 0, len(p.Strings), "mappings.build_id") {
		out[i].BuildID = uint32(v)
	}
	for i, v := range d.column(n, 0, "mappings.has_functions") {
		out[i].HasFunctions = v != 0
	}
	if n > 0 && out[0] != (profile.Mapping{}) {
		d.r.fail("mappings[0] must be that of locations without one: all zero")
	}
}

func (d *Decoder) functions(p *profile.Profile) {
	n := d.r.count("functions")
	names := d.indices(n, 1, len(p.Strings), "functions.name")
	p.Functions = sized(p.Functions, len(names))
	out := p.Functions
	for i, v := range names {
		out[i] = profile.Function{Name: uint32(v)}
	}
	for i, v := range d.indices(n, 0, len(p.Strings), "functions.system_name") {
		out[i].SystemName = uint32(v)
	}
	for i, v := range d.indices(n, 0, len(p.Strings), "functions.filename") {
		out[i].Filename = uint32(v)
	}
	for i, v := range d.column(n, 0, "functions.start_line") {
		out[i].StartLine = int64(v)
	}
}

func (d *Decoder) locations(p *profile.Profile) {
	n := d.r.count("locations")
	mappings := d.indices(n, 0, len(p.Mappings), "locations.mapping")
	if d.r.err != nil {
		return
	}
	p.Locations = sized(p.Locations, n)
	out := p.Locations
	for i, v := range mappings {
		out[i] = profile.Location{Mapping: uint32(v)}
	}
	for i, v := range d.column(n, 0, "locations.address") {
		out[i].Address = v
	}
	end := uint64(0)
	for i, v := range d.column(n, 1, "locations.lines") {
		if v == 0 || v > uint64(len(d.r.b)) || end+v > uint64(len(d.r.b)) {
			d.r.fail("locations[%d] has %d lines; it must have some, and all lines fit into %d bytes", i, v, len(d.r.b))
			return
		}
		out[i].LineStart, out[i].LineEnd = uint32(end), uint32(end+v)
		end += v
	}
	functions := d.indices(int(end), 1, len(p.Functions), "lines.function")
	p.Lines = sized(p.Lines, len(functions))
	for i, v := range functions {
		p.Lines[i].Function = uint32(v)
	}
	for i, v := range d.column(len(functions), 0, "lines.line") {
		p.Lines[i].Line = int64(v)
	}
}

// labelSets reads the label sets of a whole profile.
func (d *Decoder) labelSets(p *profile.Profile) {
	for i := range d.r.count("label sets") {
		var set []profile.LabelPair
		for range d.r.count("label set") {
			set = append(set, profile.LabelPair{Name: d.valid(d.r.text("label name")), Value: d.valid(d.r.text("label value"))})
			if d.r.err != nil {
				return
			}
		}
		if i == 0 && len(set) > 0 {
			d.r.fail("label set 0 has %d labels; it must be that of samples without any", len(set))
		}
		if d.r.err != nil {
			return
		}
		p.LabelSets = append(p.LabelSets, set)
	}
}
