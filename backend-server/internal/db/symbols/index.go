package symbols

import (
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// index finds the entries of a table by content: stacks by their digest alone,
// all others by comparing them where 32 bits of it are equal.
type index struct {
	strings, mappings, functions, locations, children refs

	stacks prints

	key [2]uint64 // for children
}

func (x *index) nodeHash(n Node) uint32 {
	return uint32(fold(uint64(n.Parent)^x.key[0], uint64(n.Location)^x.key[1]))
}

// short is the part of a digest that a refs table takes.
func (d digest) short() uint32 { return uint32(d.a >> 32) }

// newIndex makes the index of a table. Of equal entries, which there are where
// a log was damaged, it has the first. It returns false if two contents that
// differ have the same digest.
func newIndex(h *hasher, t *Table) (*index, bool) {
	x := &index{key: [2]uint64{h.a.key[3], h.a.key[4]}}
	x.strings.reserve(len(t.Strings))
	x.mappings.reserve(len(t.Mappings))
	x.functions.reserve(len(t.Functions))
	x.locations.reserve(len(t.Locations))
	x.children.reserve(len(t.Nodes))
	x.stacks.reserve(len(t.Stacks))
	var d digests
	d.compute(h, t)
	for i := range t.Strings {
		x.strings.insertFirst(d.strings[i].short(), uint32(i), func(j uint32) bool { return t.Strings[j] == t.Strings[i] })
	}
	for i := range t.Mappings {
		x.mappings.insertFirst(d.mappings[i].short(), uint32(i), func(j uint32) bool { return t.Mappings[j] == t.Mappings[i] })
	}
	for i := range t.Functions {
		x.functions.insertFirst(d.functions[i].short(), uint32(i), func(j uint32) bool { return t.Functions[j] == t.Functions[i] })
	}
	for i := range t.Locations {
		collides := false
		x.locations.insertFirst(d.locations[i].short(), uint32(i), func(j uint32) bool {
			same := t.sameLocation(j, uint32(i))
			collides = collides || !same && d.locations[i] == d.locations[j]
			return same
		})
		if collides {
			return nil, false
		}
	}
	for i := 1; i < len(t.Nodes); i++ { // the root is no child
		n := t.Nodes[i]
		x.children.insertFirst(x.nodeHash(n), uint32(i), func(j uint32) bool { return t.Nodes[j] == n })
	}
	nodes := h.nodes(d.locations, t.Nodes)
	for i, node := range t.Stacks {
		if j, ok := x.stacks.insertFirst(h.finish(nodes[node]), uint32(i)); !ok && !t.samePath(t.Stacks[j], node) {
			return nil, false
		}
	}
	return x, true
}

// insertFirst adds an index unless equal content is there.
func (h *refs) insertFirst(hash, i uint32, equal func(j uint32) bool) {
	if _, known := h.find(hash, equal); !known {
		h.insert(hash, i)
	}
}

// insertFirst adds an index unless one with the same digest is there, which it
// then returns.
func (h *prints) insertFirst(d digest, i uint32) (uint32, bool) {
	if j, known := h.find(d); known {
		return j, false
	}
	h.insert(d, i)
	return i, true
}

func (x *index) truncate(to Mark) {
	x.strings.truncate(to.Strings)
	x.mappings.truncate(to.Mappings)
	x.functions.truncate(to.Functions)
	x.locations.truncate(to.Locations)
	x.children.truncate(to.Nodes)
	x.stacks.truncate(to.Stacks)
}

func (x *index) bytes() int64 {
	return x.strings.bytes() + x.mappings.bytes() + x.functions.bytes() + x.children.bytes() + x.locations.bytes() + x.stacks.bytes()
}

// sameLocation compares the contents of two locations of a table in which the
// parts of the two may be there more than once.
func (t *Table) sameLocation(i, j uint32) bool {
	a, b := &t.Locations[i], &t.Locations[j]
	return i == j || a.Address == b.Address && t.sameMapping(a.Mapping, b.Mapping) &&
		slices.EqualFunc(t.Lines[a.LineStart:a.LineEnd], t.Lines[b.LineStart:b.LineEnd], func(a, b profile.Line) bool {
			return a.Line == b.Line && t.sameFunction(a.Function, b.Function)
		})
}

func (t *Table) sameMapping(i, j uint32) bool {
	a, b := &t.Mappings[i], &t.Mappings[j]
	return a.HasFunctions == b.HasFunctions && t.Strings[a.File] == t.Strings[b.File] && t.Strings[a.BuildID] == t.Strings[b.BuildID]
}

func (t *Table) sameFunction(i, j uint32) bool {
	a, b := &t.Functions[i], &t.Functions[j]
	return a.StartLine == b.StartLine && t.Strings[a.Name] == t.Strings[b.Name] &&
		t.Strings[a.SystemName] == t.Strings[b.SystemName] && t.Strings[a.Filename] == t.Strings[b.Filename]
}

// samePath compares two stack traces, given by the nodes of their leaves.
func (t *Table) samePath(a, b uint32) bool {
	for a != b && a != 0 && b != 0 {
		if !t.sameLocation(t.Nodes[a].Location, t.Nodes[b].Location) {
			return false
		}
		a, b = t.Nodes[a].Parent, t.Nodes[b].Parent
	}
	return a == b
}
