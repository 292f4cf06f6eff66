package symbols

import "github.com/hearth-profiles/hearth/backend-server/internal/profile"

// Mapper translates the stack traces of one profile into those of an Interner.
// What the samples do not use is never interned. A Mapper is reused from
// profile to profile; it belongs to one goroutine at a time.
type Mapper struct {
	in *Interner
	p  *profile.Profile

	// hash made the digests: those of the contents of p, and those of the stack
	// traces of samples. It is nil before there are any.
	hash    *hasher
	digests digests
	samples []profile.Sample
	stacks  []digest
	one     [1]profile.Sample

	// Index + 1 in the interner by index in the profile; 0 is not yet known.
	// They are good for a profile and an interner once begun is set.
	begun                                   bool
	strings, functions, mappings, locations []uint32
	lines                                   []profile.Line
}

// Reset makes m translate from p to in. What it has computed for p it keeps if
// p is the one it translated from before; only samples and their frames may
// have changed since.
func (m *Mapper) Reset(in *Interner, p *profile.Profile) {
	if m.p != p {
		m.p, m.hash, m.begun = p, nil, false
	}
	if m.in != in {
		m.in, m.begun = in, false
	}
}

// Forget lets go of the profile, and of the interner. It is due before the
// profile changes, and after a Rollback.
func (m *Mapper) Forget() { m.in, m.p, m.hash, m.samples, m.begun = nil, nil, nil, nil, false }

// Digest does for the samples what can be done without a look at the interner,
// so it needs no lock. They must stay as they are until Stacks returns.
func (m *Mapper) Digest(samples []profile.Sample) {
	m.samples = samples
	if m.hash == nil {
		m.hash = common
		m.digestProfile()
	}
	m.digestStacks()
}

func (m *Mapper) digestProfile() {
	p := m.p
	m.digests.compute(m.hash, &Table{Strings: p.Strings, Mappings: p.Mappings, Functions: p.Functions, Lines: p.Lines, Locations: p.Locations})
}

func (m *Mapper) digestStacks() {
	m.stacks = sized(m.stacks, len(m.samples))
	for i := range m.samples {
		m.stacks[i] = m.hash.stack(m.digests.locations, m.frames(i))
	}
}

// frames returns the frames of a sample.
func (m *Mapper) frames(i int) []uint32 {
	return m.p.Frames[m.samples[i].FrameStart:m.samples[i].FrameEnd]
}

// Stack interns the stack trace of one sample and returns its stack index.
func (m *Mapper) Stack(s *profile.Sample) uint32 {
	var out [1]uint32
	m.one[0] = *s
	m.Digest(m.one[:])
	return m.Stacks(out[:0])[0]
}

// Stacks interns the stack traces of the samples that were digested, and
// appends their stack indices to dst.
func (m *Mapper) Stacks(dst []uint32) []uint32 {
	for {
		m.in.index()
		if m.hash != m.in.hash {
			m.hash = m.in.hash
			m.digestProfile()
			m.digestStacks()
		}
		if out, ok := m.find(dst); ok {
			return out
		}
		m.in.rehash()
	}
}

// find returns false when it met two contents with the same digest. It has all
// digests from the start, so that the processor can do many look-ups at a time:
// each is a cache miss.
func (m *Mapper) find(dst []uint32) ([]uint32, bool) {
	found := m.in.found
	for i, d := range m.stacks {
		stack, ok := found.stacks.find(d)
		if !ok {
			if stack, ok = m.define(d, m.frames(i)); !ok {
				return dst, false
			}
		}
		dst = append(dst, stack)
	}
	return dst, true
}

// define interns a stack trace that is new.
func (m *Mapper) define(d digest, frames []uint32) (uint32, bool) {
	if !m.begun {
		m.begun = true
		m.strings = cleared(m.strings, len(m.p.Strings))
		m.functions = cleared(m.functions, len(m.p.Functions))
		m.mappings = cleared(m.mappings, len(m.p.Mappings))
		m.locations = cleared(m.locations, len(m.p.Locations))
	}
	node := uint32(0)
	for i := len(frames) - 1; i >= 0; i-- {
		known := m.locations[frames[i]]
		if known == 0 {
			l, ok := m.location(frames[i])
			if !ok {
				return 0, false
			}
			known = l + 1
			m.locations[frames[i]] = known
		}
		node = m.in.child(Node{Parent: node, Location: known - 1})
	}
	return m.in.addStack(d, node), true
}

func cleared(s []uint32, n int) []uint32 {
	s = sized(s, n)
	clear(s)
	return s
}

// location interns a location. It returns false if another one has its digest.
func (m *Mapper) location(i uint32) (uint32, bool) {
	l, d := &m.p.Locations[i], m.digests.locations[i]
	collides := false
	at, ok := m.in.found.locations.find(d.short(), func(at uint32) bool {
		same := m.sameLocation(at, l)
		collides = collides || !same && m.hash.location(&m.in.t, at) == d
		return same
	})
	if ok || collides {
		return at, ok
	}
	m.lines = m.lines[:0]
	for _, line := range m.p.Lines[l.LineStart:l.LineEnd] {
		m.lines = append(m.lines, profile.Line{Function: m.function(line.Function), Line: line.Line})
	}
	return m.in.addLocation(d.short(), m.mapping(l.Mapping), l.Address, m.lines), true
}

func (m *Mapper) function(i uint32) uint32 {
	if known := m.functions[i]; known != 0 {
		return known - 1
	}
	f := m.p.Functions[i]
	f.Name, f.SystemName, f.Filename = m.str(f.Name), m.str(f.SystemName), m.str(f.Filename)
	known := m.in.addFunction(m.digests.functions[i].short(), f)
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
	known := m.in.addMapping(m.digests.mappings[i].short(), p)
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
	known := m.in.addString(m.digests.strings[i].short(), m.p.Strings[i])
	m.strings[i] = known + 1
	return known
}

// The same functions compare an entry of the table with one of the profile, by
// content. What is found equal is noted: it need not be compared or looked up
// again.

func (m *Mapper) sameLocation(at uint32, l *profile.Location) bool {
	t := &m.in.t
	have := &t.Locations[at]
	lines, want := t.Lines[have.LineStart:have.LineEnd], m.p.Lines[l.LineStart:l.LineEnd]
	if have.Address != l.Address || len(lines) != len(want) || !m.sameMapping(have.Mapping, l.Mapping) {
		return false
	}
	for i, line := range lines {
		if line.Line != want[i].Line || !m.sameFunction(line.Function, want[i].Function) {
			return false
		}
	}
	return true
}

func (m *Mapper) sameMapping(at, i uint32) bool {
	if m.mappings[i] == at+1 {
		return true
	}
	a, b := &m.in.t.Mappings[at], &m.p.Mappings[i]
	same := a.HasFunctions == b.HasFunctions && m.sameString(a.File, b.File) && m.sameString(a.BuildID, b.BuildID)
	note(m.mappings, i, at, same)
	return same
}

func (m *Mapper) sameFunction(at, i uint32) bool {
	if m.functions[i] == at+1 {
		return true
	}
	a, b := &m.in.t.Functions[at], &m.p.Functions[i]
	same := a.StartLine == b.StartLine && m.sameString(a.Name, b.Name) && m.sameString(a.SystemName, b.SystemName) && m.sameString(a.Filename, b.Filename)
	note(m.functions, i, at, same)
	return same
}

func (m *Mapper) sameString(at, i uint32) bool {
	if m.strings[i] == at+1 {
		return true
	}
	same := m.in.t.Strings[at] == m.p.Strings[i]
	note(m.strings, i, at, same)
	return same
}

func note(known []uint32, i, at uint32, same bool) {
	if same && known[i] == 0 {
		known[i] = at + 1
	}
}
