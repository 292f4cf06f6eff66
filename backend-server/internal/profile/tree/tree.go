// Package tree is the call tree by function name: what a flame graph shows.
//
// Many stacks become one tree, each node the sum of the stacks that pass
// through it. A tree is built from any number of profiles, merged with the
// trees of other stores, and cut down once, at the end, to what a screen can
// show. All of that happens for every query, so the tree is flat arrays and one
// open-addressing table from (parent, name) to child: no pointers to chase and
// nothing for the garbage collector to look into but the names.
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
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// NodeID identifies a node of a tree.
type NodeID int32

// NameID identifies a name within one tree.
type NameID int32

// Root is the node that all stacks start from. It stands for no function; its
// own value is that of samples without any frame.
const Root NodeID = 0

// Names that no function has.
const (
	RootName  NameID = iota // the root's
	Remainder               // of a node that stands for what a cut took away
	reserved
)

// The texts of the reserved names.
const (
	RootLabel      = "total"
	RemainderLabel = "other"
)

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

	names []string
	ids   map[string]NameID

	// table maps (parent, name) to the child's NodeID; 0 is an empty slot, for
	// the root is nobody's child. Its length is a power of two and at least
	// twice the number of nodes.
	table []NodeID
	shift uint8 // 64 - log2(len(table))
}

// New returns a tree that has only a root.
func New() *Tree {
	t := &Tree{
		nodes: []node{{noNode, RootName}},
		self:  []int64{0},
		names: []string{RootLabel, RemainderLabel},
		ids:   map[string]NameID{},
	}
	t.rehash(6)
	return t
}

// Name returns the ID of a function name. The tree keeps a copy of s.
func (t *Tree) Name(s string) NameID {
	if id, ok := t.ids[s]; ok {
		return id
	}
	return t.addName(strings.Clone(s))
}

// ownName is Name for a string that is known not to share a foreign buffer.
func (t *Tree) ownName(s string) NameID {
	if id, ok := t.ids[s]; ok {
		return id
	}
	return t.addName(s)
}

func (t *Tree) addName(s string) NameID {
	id := NameID(len(t.names))
	t.names = append(t.names, s)
	t.ids[s] = id
	return id
}

// Child returns the child of parent with the given name; it adds one if there
// is none.
func (t *Tree) Child(parent NodeID, name NameID) NodeID {
	mask := len(t.table) - 1
	i := t.slot(parent, name)
	for ; t.table[i] != 0; i = (i + 1) & mask {
		id := t.table[i]
		if n := t.nodes[id]; n.parent == parent && n.name == name {
			return id
		}
	}
	id := NodeID(len(t.nodes))
	t.nodes = append(t.nodes, node{parent, name})
	t.self = append(t.self, 0)
	t.table[i] = id
	if 2*len(t.nodes) > len(t.table) {
		t.rehash(64 - t.shift + 1)
	}
	return id
}

// find is Child that adds nothing.
func (t *Tree) find(parent NodeID, name NameID) (NodeID, bool) {
	mask := len(t.table) - 1
	for i := t.slot(parent, name); t.table[i] != 0; i = (i + 1) & mask {
		id := t.table[i]
		if n := t.nodes[id]; n.parent == parent && n.name == name {
			return id, true
		}
	}
	return 0, false
}

// slot is Fibonacci hashing of the pair: the multiplier is 2^64 divided by the
// golden ratio, the table index the product's top bits.
func (t *Tree) slot(parent NodeID, name NameID) int {
	key := uint64(uint32(parent))<<32 | uint64(uint32(name))
	key ^= key >> 29 // the product's top bits must depend on both halves
	return int(key * 0x9e3779b97f4a7c15 >> t.shift)
}

// reserve makes room for n nodes at once.
func (t *Tree) reserve(n int) {
	if more := n - len(t.nodes); more > 0 {
		t.nodes = slices.Grow(t.nodes, more)
		t.self = slices.Grow(t.self, more)
	}
	bits := 64 - t.shift
	for 1<<bits < 2*n {
		bits++
	}
	if bits > 64-t.shift {
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
func (t *Tree) Merge(o *Tree) {
	names := t.adopt(o)
	t.reserve(len(o.nodes))
	where := make([]NodeID, len(o.nodes))
	for id := 1; id < len(o.nodes); id++ {
		n := o.nodes[id]
		where[id] = t.Child(where[n.parent], names[n.name])
	}
	for id, v := range o.self {
		if v != 0 {
			t.Add(where[id], v)
		}
	}
	t.Saturated = t.Saturated || o.Saturated
}

// adopt interns the names of o and returns the IDs they have in t.
func (t *Tree) adopt(o *Tree) []NameID {
	names := make([]NameID, len(o.names))
	names[Remainder] = Remainder
	for i := int(reserved); i < len(o.names); i++ {
		names[i] = t.ownName(o.names[i])
	}
	return names
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
func (t *Tree) Label(id NameID) string { return t.names[id] }

// Names returns the number of names, the reserved ones included: every NameID
// is smaller.
func (t *Tree) Names() int { return len(t.names) }

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
