// Package tree is the call tree by function name: what a flame graph shows.
//
// Many stacks become one tree, each node the sum of the stacks that pass
// through it. A tree is built from any number of profiles, merged with other
// trees, and cut down once, at the end, to what a screen can show. All of that
// happens for every query, so the tree is flat arrays: no pointers to chase and
// nothing for the garbage collector to look into. A table from (parent, name)
// to child is made only where it is needed, to find children or to add some;
// cutting, filtering and laying out go by the parents alone. Names are numbers
// in a Names, which trees can share.
//
// Invariants:
//
//	T1  a parent's ID is smaller than its children's: totals are one pass over
//	    the nodes in reverse, copies one pass forward;
//	T2  no two children of a node have the same NameID;
//	T3  the root's total is the sum of everything added, before and after any
//	    cut; sums that would leave 64 bits stay at the largest value, and
//	    Saturated says so;
//	T4  what a cut took away is one child of its parent, named Remainder. It is
//	    not a function: a function that happens to be called "other" has a
//	    NameID of its own.
//
// A Tree is not safe for concurrent use, not even for reading totals.
package tree

import (
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// NodeID identifies a node of a tree.
type NodeID int32

// Root is the node that all stacks start from. It stands for no function; its
// own value is that of samples without any frame.
const Root NodeID = 0

const noNode NodeID = -1

type node struct {
	parent NodeID
	name   NameID
}

// Tree is a call tree. Make one with New.
type Tree struct {
	// Saturated says that a sum reached the largest 64-bit value and was held
	// there.
	Saturated bool

	nodes []node
	self  []int64

	names *Names
	texts []string // of names, as far as the tree uses them

	// table maps (parent, name) to the child's NodeID; 0 is an empty slot, for
	// the root is nobody's child. Its length is a power of two and at least
	// twice the number of nodes. It is nil until somebody asks for a child.
	table []NodeID
	shift uint8 // 64 - log2(len(table))
}

// New returns a tree that has only a root, with names of its own.
func New() *Tree { return NewIn(NewNames()) }

// NewIn returns a tree that has only a root, with names from names.
func NewIn(names *Names) *Tree {
	return &Tree{nodes: []node{{noNode, RootName}}, self: []int64{0}, names: names, texts: names.texts()}
}

// like returns an empty tree with the names of t and room for n nodes.
func (t *Tree) like(n int) *Tree {
	out := &Tree{Saturated: t.Saturated, names: t.names, texts: t.texts}
	out.nodes = append(make([]node, 0, n), node{noNode, RootName})
	out.self = append(make([]int64, 0, n), 0)
	return out
}

// Clone returns a copy of t that shares its names.
func (t *Tree) Clone() *Tree {
	return &Tree{Saturated: t.Saturated, nodes: slices.Clone(t.nodes), self: slices.Clone(t.self), names: t.names, texts: t.texts}
}

// append adds a node that is known to be new, without a table.
func (t *Tree) append(parent NodeID, name NameID) NodeID {
	t.nodes = append(t.nodes, node{parent, name})
	t.self = append(t.self, 0)
	return NodeID(len(t.nodes) - 1)
}

// Name returns the ID of a function name. The tree keeps a copy of s.
func (t *Tree) Name(s string) NameID { return t.reach(t.names.ID(s)) }

// ownName is Name for a string that is known not to share a foreign buffer.
func (t *Tree) ownName(s string) NameID { return t.reach(t.names.own(s)) }

// reach makes sure that the tree sees the text of a name.
func (t *Tree) reach(id NameID) NameID {
	if int(id) >= len(t.texts) {
		t.texts = t.names.texts()
	}
	return id
}

// Child returns the child of parent with the given name; it adds one if there
// is none.
func (t *Tree) Child(parent NodeID, name NameID) NodeID {
	if t.table == nil {
		t.index(len(t.nodes))
	}
	mask := len(t.table) - 1
	i := t.slot(parent, name)
	for ; t.table[i] != 0; i = (i + 1) & mask {
		id := t.table[i]
		if n := t.nodes[id]; n.parent == parent && n.name == name {
			return id
		}
	}
	id := t.append(parent, name)
	t.table[i] = id
	if 2*len(t.nodes) > len(t.table) {
		t.rehash(64 - t.shift + 1)
	}
	return id
}

// slot is Fibonacci hashing of the pair: the multiplier is 2^64 divided by the
// golden ratio, the table index the product's top bits.
func (t *Tree) slot(parent NodeID, name NameID) int {
	key := uint64(uint32(parent))<<32 | uint64(uint32(name))
	key ^= key >> 29 // the product's top bits must depend on both halves
	return int(key * 0x9e3779b97f4a7c15 >> t.shift)
}

// index makes the table, with room for n nodes.
func (t *Tree) index(n int) {
	bits := uint8(6)
	if t.table != nil {
		bits = 64 - t.shift
	}
	for 1<<bits < 2*n {
		bits++
	}
	if t.table == nil || bits > 64-t.shift {
		t.rehash(bits)
	}
}

func (t *Tree) rehash(bits uint8) {
	t.table = make([]NodeID, 1<<bits)
	t.shift = 64 - bits
	mask := len(t.table) - 1
	for id := 1; id < len(t.nodes); id++ {
		i := t.slot(t.nodes[id].parent, t.nodes[id].name)
		for t.table[i] != 0 {
			i = (i + 1) & mask
		}
		t.table[i] = NodeID(id)
	}
}

// Add adds to the own value of node n. Values are not negative; a tree that was
// given one all the same can be looked at, but not laid out.
func (t *Tree) Add(n NodeID, self int64) {
	t.self[n] = t.sum(t.self[n], self)
}

// sum adds two values and notes when it had to stop at the largest one.
func (t *Tree) sum(a, b int64) int64 {
	if b < 0 {
		return a + b
	}
	s, saturated := profile.AddSaturating(a, b)
	t.Saturated = t.Saturated || saturated
	return s
}

// Merge adds all of o, which stays as it is.
func (t *Tree) Merge(o *Tree) { t.MergeMap(o) }

// MergeMap is Merge that also returns, by NodeID of o, the nodes of t that the
// values went to.
func (t *Tree) MergeMap(o *Tree) []NodeID {
	names := t.adopt(o)
	n := max(len(t.nodes), len(o.nodes))
	t.nodes, t.self = slices.Grow(t.nodes, n-len(t.nodes)), slices.Grow(t.self, n-len(t.self))
	t.index(n)
	where := make([]NodeID, len(o.nodes))
	for id := 1; id < len(o.nodes); id++ {
		n := o.nodes[id]
		if names != nil {
			n.name = names[n.name]
		}
		where[id] = t.Child(where[n.parent], n.name)
	}
	for id, v := range o.self {
		if v != 0 {
			t.Add(where[id], v)
		}
	}
	t.Saturated = t.Saturated || o.Saturated
	return where
}

// adopt makes the names of o known to t. It returns the IDs they have there, by
// the IDs they have in o, or nil if they are the same.
func (t *Tree) adopt(o *Tree) []NameID {
	if t.names != o.names && len(t.nodes) == 1 && len(t.texts) == int(reserved) {
		t.names, t.texts = o.names, o.texts // t has none of its own
	}
	if t.names == o.names {
		if len(o.texts) > len(t.texts) {
			t.texts = o.texts
		}
		return nil
	}
	names := make([]NameID, len(o.texts))
	names[Remainder] = Remainder
	for _, n := range o.nodes[1:] {
		if n.name != Remainder && names[n.name] == 0 {
			names[n.name] = t.ownName(o.texts[n.name])
		}
	}
	return names
}

// Shape returns the nodes of t without their values. It stays as it is while
// nodes are added to t, and may be read at the same time.
func (t *Tree) Shape() *Tree {
	return &Tree{nodes: slices.Clip(t.nodes), names: t.names, texts: t.names.texts()}
}

// Bytes estimates the memory of the tree without its names.
func (t *Tree) Bytes() int64 {
	return int64(len(t.nodes))*(8+8) + int64(len(t.table))*4
}

// Part returns the tree of the nodes of a shape of which the own value, given by
// NodeID, is not zero, and of all nodes above them. There may be fewer values
// than nodes, not more.
func (t *Tree) Part(self []int64) *Tree {
	needed, n := t.needed(self)
	out := t.like(n)
	where := make([]NodeID, len(self))
	for id := 1; id < len(self); id++ {
		if needed[id] {
			where[id] = out.append(where[t.nodes[id].parent], t.nodes[id].name)
			out.self[where[id]] = self[id]
		}
	}
	out.self[Root] = self[Root]
	return out
}

// MergePart adds what shape.Part(self) would be, without making it. The two
// trees must share their names.
func (t *Tree) MergePart(shape *Tree, self []int64) {
	t.adopt(shape)
	needed, n := shape.needed(self)
	t.index(max(n, len(t.nodes)))
	where := make([]NodeID, len(self))
	for id := 1; id < len(self); id++ {
		if needed[id] {
			where[id] = t.Child(where[shape.nodes[id].parent], shape.nodes[id].name)
			t.Add(where[id], self[id])
		}
	}
	t.Add(Root, self[Root])
}

// needed tells which nodes have a value of their own or below them, the root
// always, and how many they are.
func (t *Tree) needed(self []int64) ([]bool, int) {
	needed, n := make([]bool, len(self)), 1
	for id := len(self) - 1; id > 0; id-- {
		if self[id] != 0 || needed[id] {
			needed[id], needed[t.nodes[id].parent] = true, true
			n++
		}
	}
	return needed, n
}

// Len returns the number of nodes, the root included.
func (t *Tree) Len() int { return len(t.nodes) }

// Parent returns the parent of n, which must not be the root.
func (t *Tree) Parent(n NodeID) NodeID { return t.nodes[n].parent }

// NameOf returns the ID of n's name.
func (t *Tree) NameOf(n NodeID) NameID { return t.nodes[n].name }

// Self returns the own value of n: of the stacks that end there.
func (t *Tree) Self(n NodeID) int64 { return t.self[n] }

// Label returns the text of a name.
func (t *Tree) Label(id NameID) string { return t.texts[id] }

// Names returns the number of names, the reserved ones and those of other trees
// included: every NameID is smaller.
func (t *Tree) Names() int { return len(t.texts) }

// Total returns the sum of all that was added.
func (t *Tree) Total() int64 {
	var sum int64
	for _, v := range t.self {
		sum = t.sum(sum, v)
	}
	return sum
}

// Totals returns, by NodeID, the value of each node and all below it.
func (t *Tree) Totals() []int64 {
	totals := make([]int64, len(t.self))
	copy(totals, t.self)
	for id := len(totals) - 1; id > 0; id-- {
		p := t.nodes[id].parent
		totals[p] = t.sum(totals[p], totals[id])
	}
	return totals
}
