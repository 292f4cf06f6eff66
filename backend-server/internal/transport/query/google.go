package query

import (
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// toGoogle returns a merged profile as the message of that name. Only what the
// samples refer to is taken over, in the order in which they refer to it.
func toGoogle(p *profile.Profile) *googlev1.Profile {
	c := &googleConverter{
		in:        p,
		out:       &googlev1.Profile{StringTable: []string{""}},
		strings:   map[string]int64{"": 0},
		table:     make([]int64, len(p.Strings)),
		mappings:  make([]uint64, len(p.Mappings)),
		functions: make([]uint64, len(p.Functions)),
		locations: make([]uint64, len(p.Locations)),
	}
	for _, t := range p.Types {
		c.out.SampleType = append(c.out.SampleType, c.valueType(t))
	}
	c.out.PeriodType = c.valueType(p.PeriodType)
	c.out.Period = p.Period
	c.out.TimeNanos = p.TimeNanos
	c.out.DurationNanos = p.DurationNanos
	if len(c.out.SampleType) > 0 {
		c.out.DefaultSampleType = c.out.SampleType[0].Type
	}
	c.samples()
	return c.out
}

type googleConverter struct {
	in  *profile.Profile
	out *googlev1.Profile

	strings map[string]int64 // text → index in the message
	// What has been taken over, by index in the profile: the ID it has in the
	// message, 0 for not yet.
	table                          []int64
	mappings, functions, locations []uint64
}

func (c *googleConverter) text(s string) int64 {
	i, ok := c.strings[s]
	if !ok {
		i = int64(len(c.out.StringTable))
		c.out.StringTable = append(c.out.StringTable, wire.Text(s))
		c.strings[s] = i
	}
	return i
}

func (c *googleConverter) str(i uint32) int64 {
	if c.table[i] == 0 {
		c.table[i] = c.text(c.in.Strings[i])
	}
	return c.table[i]
}

func (c *googleConverter) valueType(t profile.ValueType) *googlev1.ValueType {
	return &googlev1.ValueType{Type: c.text(t.Type), Unit: c.text(t.Unit)}
}

func (c *googleConverter) samples() {
	p := c.in
	samples := make([]googlev1.Sample, len(p.Samples))
	ids := make([]uint64, 0, len(p.Frames))
	c.out.Sample = make([]*googlev1.Sample, len(p.Samples))
	for i, s := range p.Samples {
		start := len(ids)
		for _, l := range p.Frames[s.FrameStart:s.FrameEnd] {
			ids = append(ids, c.location(l))
		}
		samples[i].LocationId = ids[start:len(ids):len(ids)]
		samples[i].Value = p.Row(i)
		c.out.Sample[i] = &samples[i]
	}
}

func (c *googleConverter) location(i uint32) uint64 {
	if id := c.locations[i]; id != 0 {
		return id
	}
	l := c.in.Locations[i]
	out := &googlev1.Location{Id: uint64(len(c.out.Location)) + 1, MappingId: c.mapping(l.Mapping), Address: l.Address}
	for _, line := range c.in.Lines[l.LineStart:l.LineEnd] {
		out.Line = append(out.Line, &googlev1.Line{FunctionId: c.function(line.Function), Line: line.Line})
	}
	c.out.Location = append(c.out.Location, out)
	c.locations[i] = out.Id
	return out.Id
}

func (c *googleConverter) function(i uint32) uint64 {
	if id := c.functions[i]; id != 0 {
		return id
	}
	f := c.in.Functions[i]
	out := &googlev1.Function{
		Id:         uint64(len(c.out.Function)) + 1,
		Name:       c.str(f.Name),
		SystemName: c.str(f.SystemName),
		Filename:   c.str(f.Filename),
		StartLine:  f.StartLine,
	}
	c.out.Function = append(c.out.Function, out)
	c.functions[i] = out.Id
	return out.Id
}

// mapping takes a mapping over; index 0 is none. Every frame has a name by now,
// and saying so keeps tools from looking for symbols.
func (c *googleConverter) mapping(i uint32) uint64 {
	if i == 0 {
		return 0
	}
	if id := c.mappings[i]; id != 0 {
		return id
	}
	m := c.in.Mappings[i]
	out := &googlev1.Mapping{
		Id:              uint64(len(c.out.Mapping)) + 1,
		MemoryStart:     m.Start,
		MemoryLimit:     m.Limit,
		FileOffset:      m.Offset,
		Filename:        c.str(m.File),
		BuildId:         c.str(m.BuildID),
		HasFunctions:    true,
		HasFilenames:    m.HasFunctions,
		HasLineNumbers:  m.HasFunctions,
		HasInlineFrames: m.HasFunctions,
	}
	c.out.Mapping = append(c.out.Mapping, out)
	c.mappings[i] = out.Id
	return out.Id
}
