package importer

import (
	"math"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer/pyroblock"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// stacks translates stack traces of a foreign partition into those of a service.
// They go through the decoder that pushed profiles go through, as samples of a
// profile, so that frames get the names that they would have got there.
type stacks struct {
	from  *pyroblock.Symbols
	to    *symbols.Interner
	depth int
	known map[uint64]uint32

	// Those of all partitions are the same.
	decoder *pprof.Decoder
	mapper  *symbols.Mapper
}

// translate makes sure that all of ids are known.
func (s *stacks) translate(ids []uint64) error {
	var fresh []uint64
	for _, id := range ids {
		if _, ok := s.known[id]; !ok {
			s.known[id] = 0
			fresh = append(fresh, id)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	p, err := s.profile(fresh)
	if err != nil {
		return err
	}
	decoded, err := s.decoder.Decode(pprof.Encode(p), pprof.Options{MaxSize: math.MaxInt32, MaxStackDepth: s.depth})
	if err != nil {
		return fault.Mark(fault.Corrupt, err)
	}
	if len(decoded.Samples) != len(fresh) {
		return fault.New(fault.Corrupt, "%d of %d stack traces could be read", len(decoded.Samples), len(fresh))
	}
	s.mapper.Reset(s.to, decoded)
	s.mapper.Digest(decoded.Samples)
	for i, stack := range s.mapper.Stacks(nil) {
		s.known[fresh[i]] = stack
	}
	s.mapper.Forget()
	s.decoder.Reset()
	return nil
}

// profile makes a profile with a sample for each of some stack traces, and the
// symbols that they need.
func (s *stacks) profile(ids []uint64) (*profile.Profile, error) {
	b := profileBuilder{
		from: s.from, strings: map[uint32]uint32{}, mappings: map[uint32]uint32{}, functions: map[uint32]uint32{}, locations: map[uint32]uint32{},
		p: &profile.Profile{Types: []profile.ValueType{{Type: "stacks", Unit: "count"}}, Strings: []string{""}, Mappings: []profile.Mapping{{}}},
	}
	var frames []uint32
	for _, id := range ids {
		var err error
		if frames, err = s.from.Stack(id, frames[:0]); err != nil {
			return nil, err
		}
		start := uint32(len(b.p.Frames))
		for _, l := range frames {
			b.p.Frames = append(b.p.Frames, b.location(l))
		}
		b.p.Samples = append(b.p.Samples, profile.Sample{FrameStart: start, FrameEnd: uint32(len(b.p.Frames))})
		b.p.Values = append(b.p.Values, 1)
	}
	return b.p, nil
}

// profileBuilder knows the index in the profile of everything that is in it.
type profileBuilder struct {
	from                                    *pyroblock.Symbols
	p                                       *profile.Profile
	strings, mappings, functions, locations map[uint32]uint32
}

// once returns the index of i in list, at the end of which what add returns is
// put if it is not there.
func once[T any](known map[uint32]uint32, i uint32, list *[]T, add func() T) uint32 {
	n, ok := known[i]
	if !ok {
		v := add()
		n = uint32(len(*list))
		*list = append(*list, v)
		known[i] = n
	}
	return n
}

func (b *profileBuilder) text(i uint32) uint32 {
	if b.from.Strings[i] == "" {
		return 0
	}
	return once(b.strings, i, &b.p.Strings, func() string { return b.from.Strings[i] })
}

func (b *profileBuilder) mapping(i uint32) uint32 {
	if i >= uint32(len(b.from.Mappings)) {
		return 0
	}
	return once(b.mappings, i, &b.p.Mappings, func() profile.Mapping {
		m := b.from.Mappings[i]
		return profile.Mapping{Start: m.Start, Limit: m.Limit, Offset: m.Offset, File: b.text(m.File), BuildID: b.text(m.BuildID), HasFunctions: m.HasFunctions}
	})
}

func (b *profileBuilder) function(i uint32) uint32 {
	return once(b.functions, i, &b.p.Functions, func() profile.Function {
		f := b.from.Functions[i]
		return profile.Function{Name: b.text(f.Name), SystemName: b.text(f.SystemName), Filename: b.text(f.File), StartLine: f.StartLine}
	})
}

func (b *profileBuilder) location(i uint32) uint32 {
	return once(b.locations, i, &b.p.Locations, func() profile.Location {
		l := &b.from.Locations[i]
		out := profile.Location{Mapping: b.mapping(l.Mapping), Address: l.Address, LineStart: uint32(len(b.p.Lines))}
		for _, line := range l.Lines {
			b.p.Lines = append(b.p.Lines, profile.Line{Function: b.function(line.Function), Line: line.Line})
		}
		out.LineEnd = uint32(len(b.p.Lines))
		return out
	})
}
