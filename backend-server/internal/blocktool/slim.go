package blocktool

import (
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// slim returns p with no symbols but those that its samples use: it comes with
// the symbols of a whole service.
func slim(p *profile.Profile) *profile.Profile {
	s := slimmer{from: p, to: new(profile.Profile)}
	*s.to = *p
	s.to.Strings, s.to.Mappings = []string{""}, []profile.Mapping{{}}
	s.to.Functions, s.to.Lines, s.to.Locations = nil, nil, nil
	s.strings, s.mappings = map[uint32]uint32{0: 0}, map[uint32]uint32{0: 0}
	s.functions, s.locations = map[uint32]uint32{}, map[uint32]uint32{}
	for i, l := range p.Frames {
		s.to.Frames[i] = s.location(l)
	}
	return s.to
}

// slimmer knows the new index of everything by its old one.
type slimmer struct {
	from, to                                *profile.Profile
	strings, mappings, functions, locations map[uint32]uint32
}

func (s *slimmer) text(i uint32) uint32 {
	return renumber(s.strings, i, &s.to.Strings, func() string { return s.from.Strings[i] })
}

func (s *slimmer) mapping(i uint32) uint32 {
	return renumber(s.mappings, i, &s.to.Mappings, func() profile.Mapping {
		m := s.from.Mappings[i]
		m.File, m.BuildID = s.text(m.File), s.text(m.BuildID)
		return m
	})
}

func (s *slimmer) function(i uint32) uint32 {
	return renumber(s.functions, i, &s.to.Functions, func() profile.Function {
		f := s.from.Functions[i]
		f.Name, f.SystemName, f.Filename = s.text(f.Name), s.text(f.SystemName), s.text(f.Filename)
		return f
	})
}

func (s *slimmer) location(i uint32) uint32 {
	return renumber(s.locations, i, &s.to.Locations, func() profile.Location {
		l := s.from.Locations[i]
		lines := s.from.Lines[l.LineStart:l.LineEnd]
		l.Mapping, l.LineStart = s.mapping(l.Mapping), uint32(len(s.to.Lines))
		for _, line := range lines {
			s.to.Lines = append(s.to.Lines, profile.Line{Function: s.function(line.Function), Line: line.Line})
		}
		l.LineEnd = uint32(len(s.to.Lines))
		return l
	})
}

// renumber returns the new index of i, which is made if it is asked for the
// first time.
func renumber[T any](known map[uint32]uint32, i uint32, list *[]T, make func() T) uint32 {
	n, ok := known[i]
	if !ok {
		v := make()
		n = uint32(len(*list))
		*list = append(*list, v)
		known[i] = n
	}
	return n
}
