package symbols

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Interner grows a Table: it gives equal content one index. It is not safe for
// concurrent use; its owner holds a lock. The views that View returns may be
// read without one.
type Interner struct {
	t    Table
	seed maphash.Seed

	strings, functions, mappings, locations, children, stacks hashIndex

	// stackHashes keeps each stack's hash: computing it anew would mean
	// walking its nodes.
	stackHashes []uint64
	textBytes   int64
}

// NewInterner returns an Interner that holds what S3 demands.
func NewInterner() *Interner {
	in := &Interner{seed: maphash.MakeSeed()}
	in.t.Memo = new(Memo)
	in.String("")
	in.addMapping(profile.Mapping{})
	in.t.Nodes = append(in.t.Nodes, Node{})
	return in
}

// NewLogged returns an Interner whose tails can be replayed. It holds the
// entries named LostName at fixed places, so that replay can refer to them
// without shifting the indices that the log counts on.
func NewLogged() *Interner {
	in := NewInterner()
	lost := in.addFunction(profile.Function{Name: in.String(LostName)})
	in.child(Node{Location: in.addLocation(0, 0, []profile.Line{{Function: lost}})})
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
	n := in.textBytes + int64(len(t.Strings))*16 + int64(len(t.Mappings))*40 + int64(len(t.Functions))*24 +
		int64(len(t.Lines))*16 + int64(len(t.Locations))*24 + int64(len(t.Nodes))*8 + int64(len(t.Stacks))*12
	for _, h := range []*hashIndex{&in.strings, &in.functions, &in.mappings, &in.locations, &in.children, &in.stacks} {
		n += h.bytes()
	}
	return n
}

// Rollback forgets what was added since the mark. No view may have been taken
// since then, and no tail replayed that had a gap.
func (in *Interner) Rollback(to Mark) {
	if in.Mark() == to {
		return
	}
	t := &in.t
	for _, s := range t.Strings[to.Strings:] {
		in.textBytes -= int64(len(s))
	}
	t.Strings, t.Mappings, t.Functions = t.Strings[:to.Strings], t.Mappings[:to.Mappings], t.Functions[:to.Functions]
	t.Locations, t.Nodes, t.Stacks = t.Locations[:to.Locations], t.Nodes[:to.Nodes], t.Stacks[:to.Stacks]
	lines := uint32(0)
	if to.Locations > 0 {
		lines = t.Locations[to.Locations-1].LineEnd
	}
	t.Lines, in.stackHashes = t.Lines[:lines], in.stackHashes[:to.Stacks]
	in.strings.rebuild(0, to.Strings, in.rehashString)
	in.mappings.rebuild(0, to.Mappings, func(i uint32) uint64 { return hashMapping(t.Mappings[i]) })
	in.functions.rebuild(0, to.Functions, func(i uint32) uint64 { return hashFunction(t.Functions[i]) })
	in.locations.rebuild(0, to.Locations, in.rehashLocation)
	in.children.rebuild(1, to.Nodes, func(i uint32) uint64 { return hashNode(t.Nodes[i]) }) // the root is no child
	in.stacks.rebuild(0, to.Stacks, func(i uint32) uint64 { return in.stackHashes[i] })
}

func (in *Interner) rehashString(i uint32) uint64 { return maphash.String(in.seed, in.t.Strings[i]) }

// String interns s, which it clones when it is new.
func (in *Interner) String(s string) uint32 {
	hash := maphash.String(in.seed, s)
	i, ok := in.strings.find(hash, func(i uint32) bool { return in.t.Strings[i] == s })
	if ok {
		return i
	}
	i = uint32(len(in.t.Strings))
	in.t.Strings = append(in.t.Strings, strings.Clone(s))
	in.textBytes += int64(len(s))
	in.strings.insert(hash, i, in.rehashString)
	return i
}

func hashFunction(f profile.Function) uint64 {
	return mix(mix(mix(uint64(f.Name)<<32|uint64(f.SystemName), 1), uint64(f.Filename)), uint64(f.StartLine))
}

func (in *Interner) addFunction(f profile.Function) uint32 {
	hash := hashFunction(f)
	i, ok := in.functions.find(hash, func(i uint32) bool { return in.t.Functions[i] == f })
	if ok {
		return i
	}
	i = uint32(len(in.t.Functions))
	in.t.Functions = append(in.t.Functions, f)
	in.functions.insert(hash, i, func(i uint32) uint64 { return hashFunction(in.t.Functions[i]) })
	return i
}

func hashMapping(m profile.Mapping) uint64 {
	h := mix(mix(mix(m.Start, m.Limit), m.Offset), uint64(m.File)<<32|uint64(m.BuildID))
	if m.HasFunctions {
		h = mix(h, 1)
	}
	return h
}

func (in *Interner) addMapping(m profile.Mapping) uint32 {
	hash := hashMapping(m)
	i, ok := in.mappings.find(hash, func(i uint32) bool { return in.t.Mappings[i] == m })
	if ok {
		return i
	}
	i = uint32(len(in.t.Mappings))
	in.t.Mappings = append(in.t.Mappings, m)
	in.mappings.insert(hash, i, func(i uint32) uint64 { return hashMapping(in.t.Mappings[i]) })
	return i
}

func (in *Interner) hashLocation(mapping uint32, address uint64, lines []profile.Line) uint64 {
	h := mix(uint64(mapping), address)
	for _, l := range lines {
		h = mix(h, uint64(l.Function)<<32^uint64(l.Line))
	}
	return h
}

// addLocation interns a location; lines is copied when it is new.
func (in *Interner) addLocation(mapping uint32, address uint64, lines []profile.Line) uint32 {
	hash := in.hashLocation(mapping, address, lines)
	i, ok := in.locations.find(hash, func(i uint32) bool { return in.sameLocation(i, mapping, address, lines) })
	if ok {
		return i
	}
	i = uint32(len(in.t.Locations))
	start := uint32(len(in.t.Lines))
	in.t.Lines = append(in.t.Lines, lines...)
	in.t.Locations = append(in.t.Locations, profile.Location{Mapping: mapping, Address: address, LineStart: start, LineEnd: uint32(len(in.t.Lines))})
	in.locations.insert(hash, i, in.rehashLocation)
	return i
}

func (in *Interner) sameLocation(i, mapping uint32, address uint64, lines []profile.Line) bool {
	l := &in.t.Locations[i]
	return l.Mapping == mapping && l.Address == address && slices.Equal(in.t.Lines[l.LineStart:l.LineEnd], lines)
}

func (in *Interner) rehashLocation(i uint32) uint64 {
	l := in.t.Locations[i]
	return in.hashLocation(l.Mapping, l.Address, in.t.Lines[l.LineStart:l.LineEnd])
}

func hashNode(n Node) uint64 { return mix(uint64(n.Parent)<<32|uint64(n.Location), 0x5bd1e995) }

func (in *Interner) child(n Node) uint32 {
	hash := hashNode(n)
	i, ok := in.children.find(hash, func(i uint32) bool { return in.t.Nodes[i] == n })
	if ok {
		return i
	}
	i = uint32(len(in.t.Nodes))
	in.t.Nodes = append(in.t.Nodes, n)
	in.children.insert(hash, i, func(i uint32) uint64 { return hashNode(in.t.Nodes[i]) })
	return i
}

// stack interns a stack trace given as location indices of the table, the
// leaf first.
func (in *Interner) stack(frames []uint32) uint32 {
	hash := uint64(len(frames)) + 1
	for _, f := range frames {
		hash = mix(hash, uint64(f))
	}
	i, ok := in.stacks.find(hash, func(i uint32) bool { return in.sameStack(in.t.Stacks[i], frames) })
	if ok {
		return i
	}
	node := uint32(0)
	for j := len(frames) - 1; j >= 0; j-- {
		node = in.child(Node{Parent: node, Location: frames[j]})
	}
	return in.addStack(hash, node)
}

func (in *Interner) addStack(hash uint64, node uint32) uint32 {
	i := uint32(len(in.t.Stacks))
	in.t.Stacks = append(in.t.Stacks, node)
	in.stackHashes = append(in.stackHashes, hash)
	in.stacks.insert(hash, i, func(i uint32) uint64 { return in.stackHashes[i] })
	return i
}

func (in *Interner) sameStack(node uint32, frames []uint32) bool {
	for _, f := range frames {
		if node == 0 || in.t.Nodes[node].Location != f {
			return false
		}
		node = in.t.Nodes[node].Parent
	}
	return node == 0
}
