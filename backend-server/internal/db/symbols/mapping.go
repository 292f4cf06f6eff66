package symbols

import "github.com/hearth-profiles/hearth/backend-server/internal/profile"

// Mapper translates the indices of one profile into those of an Interner. What
// the samples do not use is never interned. A Mapper is reused from profile to
// profile; it belongs to one goroutine at a time.
type Mapper struct {
	in *Interner
	p  *profile.Profile

	// Index + 1 in the interner by index in the profile; 0 is not yet known.
	strings, functions, mappings, locations []uint32
	lines                                   []profile.Line
	frames                                  []uint32
}

// Reset makes m translate from p to in.
func (m *Mapper) Reset(in *Interner, p *profile.Profile) {
	m.in, m.p = in, p
	m.strings = cleared(m.strings, len(p.Strings))
	m.functions = cleared(m.functions, len(p.Functions))
	m.mappings = cleared(m.mappings, len(p.Mappings))
	m.locations = cleared(m.locations, len(p.Locations))
}

func cleared(s []uint32, n int) []uint32 {
	if cap(s) < n {
		return make([]uint32, n, n+n/4)
	}
	s = s[:n]
	clear(s)
	return s
}

// Stack interns the stack trace of one sample and returns its stack index.
func (m *Mapper) Stack(s *profile.Sample) uint32 {
	m.frames = m.frames[:0]
	for _, l := range m.p.Frames[s.FrameStart:s.FrameEnd] {
		known := m.locations[l]
		if known == 0 {
			known = m.location(l) + 1
			m.locations[l] = known
		}
		m.frames = append(m.frames, known-1)
	}
	return m.in.stack(m.frames)
}

func (m *Mapper) location(i uint32) uint32 {
	l := &m.p.Locations[i]
	m.lines = m.lines[:0]
	for _, line := range m.p.Lines[l.LineStart:l.LineEnd] {
		m.lines = append(m.lines, profile.Line{Function: m.function(line.Function), Line: line.Line})
	}
	return m.in.addLocation(m.mapping(l.Mapping), l.Address, m.lines)
}

func (m *Mapper) function(i uint32) uint32 {
	if known := m.functions[i]; known != 0 {
		return known - 1
	}
	f := m.p.Functions[i]
	f.Name, f.SystemName, f.Filename = m.str(f.Name), m.str(f.SystemName), m.str(f.Filename)
	known := m.in.addFunction(f)
	m.functions[i] = known + 1
	return known
}

func (m *Mapper) mapping(i uint32) uint32 {
	if i == 0 {
		return 0
	}
	if known := m.mappings[i]; known != 0 {
		return known - 1
	}
	p := m.p.Mappings[i]
	// Where a process loaded a binary differs from run to run; what counts
	// are the binary and its build.
	p.Start, p.Limit, p.Offset = 0, 0, 0
	p.File, p.BuildID = m.str(p.File), m.str(p.BuildID)
	known := m.in.addMapping(p)
	m.mappings[i] = known + 1
	return known
}

func (m *Mapper) str(i uint32) uint32 {
	if i == 0 {
		return 0
	}
	if known := m.strings[i]; known != 0 {
		return known - 1
	}
	known := m.in.String(m.p.Strings[i])
	m.strings[i] = known + 1
	return known
}
