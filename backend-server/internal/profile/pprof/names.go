package pprof

import (
	"path"
	"strconv"
	"strings"
	"unsafe"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Names of frames that no symbol names.
const (
	unknownFrame   = "[unknown]"
	truncatedFrame = "[truncated]"
)

// shapeMark begins what the Go compiler adds to the names of generic functions.
const shapeMark = "[go.shape."

// A nameTable makes the names that did not come over the wire. Their bytes lie
// in arena; those of earlier names stay valid when it grows.
type nameTable struct {
	sent      int // strings that came over the wire
	arena     []byte
	cleaned   map[uint32]uint32 // clean name by name as sent
	unknown   madeFrame
	truncated madeFrame
}

// A madeFrame is a made function and line, shared by all that need it.
type madeFrame struct {
	made bool
	line uint32
}

func (t *nameTable) reset() {
	t.sent, t.arena = 0, t.arena[:0]
	clear(t.cleaned)
	t.unknown, t.truncated = madeFrame{}, madeFrame{}
}

// clean returns the index of the given name without shape parameters.
func (t *nameTable) clean(p *profile.Profile, name uint32) uint32 {
	s := p.Strings[name]
	if !strings.Contains(s, shapeMark) {
		return name
	}
	if done, ok := t.cleaned[name]; ok {
		return done
	}
	start := len(t.arena)
	t.arena = appendWithoutShapes(t.arena, s)
	if t.cleaned == nil {
		t.cleaned = map[uint32]uint32{}
	}
	i := t.intern(p, start)
	t.cleaned[name] = i
	return i
}

// appendWithoutShapes appends name without its "[go.shape...]" sections to b. A
// section that is never closed stays.
func appendWithoutShapes(b []byte, name string) []byte {
	for {
		i := strings.Index(name, shapeMark)
		if i < 0 {
			break
		}
		n := bracketed(name[i:])
		if n == 0 {
			break
		}
		b = append(b, name[:i]...)
		name = name[i+n:]
	}
	return append(b, name...)
}

// bracketed returns the length of the bracketed section that s begins with, or
// 0 if it is not closed.
func bracketed(s string) int {
	for depth, end := 0, 0; ; {
		i := strings.IndexByte(s[end:], ']')
		if i < 0 {
			return 0
		}
		depth += strings.Count(s[end:end+i], "[") - 1
		if end += i + 1; depth == 0 {
			return end
		}
	}
}

// intern makes the arena's bytes from start on a string of the profile.
func (t *nameTable) intern(p *profile.Profile, start int) uint32 {
	b := t.arena[start:]
	return addName(p, unsafe.String(unsafe.SliceData(b), len(b)))
}

func addName(p *profile.Profile, s string) uint32 {
	p.Strings = append(p.Strings, s)
	return uint32(len(p.Strings) - 1)
}

// addFrame makes a function of the given name and one line of it.
func addFrame(p *profile.Profile, name uint32) uint32 {
	p.Functions = append(p.Functions, profile.Function{Name: name})
	p.Lines = append(p.Lines, profile.Line{Function: uint32(len(p.Functions) - 1)})
	return uint32(len(p.Lines) - 1)
}

// synthesise names a location without lines, and makes its address one within
// the mapping's file. A mapping that starts at 0 has such addresses already.
func (t *nameTable) synthesise(p *profile.Profile, loc *profile.Location) {
	m := &p.Mappings[loc.Mapping]
	if m.Start != 0 && loc.Address >= m.Start {
		loc.Address = loc.Address - m.Start + m.Offset
	}
	file := p.Strings[m.File]
	if file == "" && loc.Address == 0 {
		loc.LineStart = t.shared(p, &t.unknown, unknownFrame)
		loc.LineEnd = loc.LineStart + 1
		return
	}
	start := len(t.arena)
	if file != "" {
		t.arena = append(t.arena, path.Base(file)...)
		t.arena = append(t.arena, '+')
	}
	t.arena = append(t.arena, "0x"...)
	t.arena = strconv.AppendUint(t.arena, loc.Address, 16)
	loc.LineStart = addFrame(p, t.intern(p, start))
	loc.LineEnd = loc.LineStart + 1
}

// shared returns the line of a frame that is made once.
func (t *nameTable) shared(p *profile.Profile, f *madeFrame, name string) uint32 {
	if !f.made {
		*f = madeFrame{true, addFrame(p, addName(p, name))}
	}
	return f.line
}
