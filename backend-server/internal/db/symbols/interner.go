package symbols

import (
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Interner grows a Table: it gives equal content one index. It is not safe for
// concurrent use; its owner holds a lock. The views that View returns may be
// read without one.
type Interner struct {
	t    Table
	text text
	hash *hasher
	// found is how contents are found. It is made when it is first asked for:
	// who only replays, or only reads, never needs it.
	found *index
}

// NewInterner returns an Interner that holds what S3 demands.
func NewInterner() *Interner {
	return &Interner{hash: common, t: Table{Strings: []string{""}, Mappings: []profile.Mapping{{}}, Nodes: []Node{{}}, Memo: new(Memo)}}
}

// NewLogged returns an Interner whose tails can be replayed. It holds the
// entries named LostName at fixed places, so that replay can refer to them
// without shifting the indices that the log counts on.
func NewLogged() *Interner {
	in := NewInterner()
	in.t.Strings = append(in.t.Strings, LostName)
	in.t.Functions = []profile.Function{{Name: 1}}
	in.t.Lines = []profile.Line{{}}
	in.t.Locations = []profile.Location{{LineEnd: 1}}
	in.t.Nodes = append(in.t.Nodes, Node{})
	return in
}

// The places of the entries named LostName.
const (
	lostFunction = 0
	lostLocation = 0
	lostNode     = 1
)

// View returns the table as it stands.
func (in *Interner) View() Table { return in.t }

// Bytes estimates the memory held, in bytes.
func (in *Interner) Bytes() int64 {
	t := &in.t
	n := in.text.bytes + int64(cap(t.Strings))*16 + int64(cap(t.Mappings))*40 + int64(cap(t.Functions))*24 +
		int64(cap(t.Lines))*16 + int64(cap(t.Locations))*24 + int64(cap(t.Nodes))*8 + int64(cap(t.Stacks))*4
	if in.found != nil {
		n += in.found.bytes()
	}
	return n
}

// Release gives back the memory that only interning needs. It comes back when
// something is interned again.
func (in *Interner) Release() { in.found = nil }

// Rollback forgets what was added since the mark. No view may have been taken
// since then, and no tail replayed that had a gap.
func (in *Interner) Rollback(to Mark) {
	if in.Mark() == to {
		return
	}
	t := &in.t
	t.Strings, t.Mappings, t.Functions = t.Strings[:to.Strings], t.Mappings[:to.Mappings], t.Functions[:to.Functions]
	t.Locations, t.Nodes, t.Stacks = t.Locations[:to.Locations], t.Nodes[:to.Nodes], t.Stacks[:to.Stacks]
	lines := uint32(0)
	if to.Locations > 0 {
		lines = t.Locations[to.Locations-1].LineEnd
	}
	t.Lines = t.Lines[:lines]
	if in.found != nil {
		in.found.truncate(to)
	}
}

// The add functions intern what is in terms of the table already. hash is 32
// bits of the content's digest.

func (in *Interner) addString(hash uint32, s string) uint32 {
	x := in.found
	i, ok := x.strings.find(hash, func(i uint32) bool { return in.t.Strings[i] == s })
	if !ok {
		i = uint32(len(in.t.Strings))
		in.t.Strings = append(in.t.Strings, in.text.clone(s))
		x.strings.insert(hash, i)
	}
	return i
}

func (in *Interner) addFunction(hash uint32, f profile.Function) uint32 {
	x := in.found
	i, ok := x.functions.find(hash, func(i uint32) bool { return in.t.Functions[i] == f })
	if !ok {
		i = uint32(len(in.t.Functions))
		in.t.Functions = append(in.t.Functions, f)
		x.functions.insert(hash, i)
	}
	return i
}

func (in *Interner) addMapping(hash uint32, m profile.Mapping) uint32 {
	x := in.found
	i, ok := x.mappings.find(hash, func(i uint32) bool { return in.t.Mappings[i] == m })
	if !ok {
		i = uint32(len(in.t.Mappings))
		in.t.Mappings = append(in.t.Mappings, m)
		x.mappings.insert(hash, i)
	}
	return i
}

// addLocation adds a location that is known to be new.
func (in *Interner) addLocation(hash uint32, mapping uint32, address uint64, lines []profile.Line) uint32 {
	i, start := uint32(len(in.t.Locations)), uint32(len(in.t.Lines))
	in.t.Lines = append(in.t.Lines, lines...)
	in.t.Locations = append(in.t.Locations, profile.Location{Mapping: mapping, Address: address, LineStart: start, LineEnd: uint32(len(in.t.Lines))})
	in.found.locations.insert(hash, i)
	return i
}

func (in *Interner) child(n Node) uint32 {
	x := in.found
	hash := x.nodeHash(n)
	i, ok := x.children.find(hash, func(i uint32) bool { return in.t.Nodes[i] == n })
	if !ok {
		i = uint32(len(in.t.Nodes))
		in.t.Nodes = append(in.t.Nodes, n)
		x.children.insert(hash, i)
	}
	return i
}

// addStack adds a stack that is known to be new.
func (in *Interner) addStack(d digest, node uint32) uint32 {
	i := uint32(len(in.t.Stacks))
	in.t.Stacks = append(in.t.Stacks, node)
	in.found.stacks.insert(d, i)
	return i
}

// index returns the index, which it makes if need be.
func (in *Interner) index() *index {
	for in.found == nil {
		x, ok := newIndex(in.hash, &in.t)
		if !ok {
			in.hash = newHasher()
			continue
		}
		in.found = x
	}
	return in.found
}

// rehash chooses other digests, after two contents turned out to share one.
// What the table holds stays.
func (in *Interner) rehash() { in.hash, in.found = newHasher(), nil }

// text keeps strings in few pieces of memory.
type text struct {
	chunk *strings.Builder
	bytes int64
}

const (
	firstText = 1 << 9
	lastText  = 1 << 15
)

func (t *text) clone(s string) string {
	at := t.room(len(s))
	t.chunk.WriteString(s)
	return t.chunk.String()[at:]
}

func (t *text) cloneBytes(s []byte) string {
	at := t.room(len(s))
	t.chunk.Write(s)
	return t.chunk.String()[at:]
}

// room makes room for n bytes and returns where they will be in the chunk.
func (t *text) room(n int) int {
	if t.chunk == nil || t.chunk.Cap()-t.chunk.Len() < n {
		size := firstText
		if t.chunk != nil {
			size = min(2*t.chunk.Cap(), lastText)
		}
		t.chunk = new(strings.Builder)
		t.chunk.Grow(max(size, n))
		t.bytes += int64(t.chunk.Cap())
	}
	return t.chunk.Len()
}
