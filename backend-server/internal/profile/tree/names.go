package tree

import (
	"slices"
	"sort"
	"strings"
	"sync"
)

// NameID identifies a name within one Names.
type NameID int32

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

// Names numbers the names of functions. Trees that share one can be merged
// without looking at a text, and their children are put in order without
// comparing any: the order of the texts is worked out once, when names have
// come since.
//
// Names only grows, and it is safe for concurrent use; that is what allows many
// trees, made at different times, to refer to one.
type Names struct {
	mu struct {
		sync.Mutex
		texts  []string
		ids    map[string]NameID
		sorted []NameID // all but the reserved ones, in order of text
		ranks  []int32  // by NameID; never written again once given out
		bytes  int64
	}
}

// NewNames returns the reserved names.
func NewNames() *Names {
	n := new(Names)
	n.mu.texts = []string{RootLabel, RemainderLabel}
	n.mu.ids = map[string]NameID{}
	return n
}

// ID returns the ID of a function's name. It keeps a copy of s.
func (n *Names) ID(s string) NameID {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.mu.ids[s]; ok {
		return id
	}
	return n.add(strings.Clone(s))
}

// own is ID for a string that is known not to share a foreign buffer.
func (n *Names) own(s string) NameID {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.mu.ids[s]; ok {
		return id
	}
	return n.add(s)
}

func (n *Names) add(s string) NameID {
	id := NameID(len(n.mu.texts))
	n.mu.texts = append(n.mu.texts, s)
	n.mu.ids[s] = id
	n.mu.bytes += int64(len(s)) + nameOverhead
	return id
}

// nameOverhead estimates the memory of a name besides its text: two string
// headers, the entry of the map, its place in the order.
const nameOverhead = 72

// find is ID that adds nothing.
func (n *Names) find(s string) (NameID, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, ok := n.mu.ids[s]
	return id, ok
}

// texts returns the names by ID. What is in the list is never written again.
func (n *Names) texts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clip(n.mu.texts)
}

// Bytes estimates the memory held.
func (n *Names) Bytes() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.bytes
}

// order returns the place of every name in the order of the texts, by NameID,
// for as many names as there are. That of the Remainder is behind all others.
func (n *Names) order() []int32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.mu.ranks) == len(n.mu.texts) {
		return n.mu.ranks
	}
	texts := n.mu.texts
	fresh := make([]NameID, 0, len(texts)-len(n.mu.sorted))
	for id := int(reserved) + len(n.mu.sorted); id < len(texts); id++ {
		fresh = append(fresh, NameID(id))
	}
	slices.SortFunc(fresh, func(a, b NameID) int { return strings.Compare(texts[a], texts[b]) })
	sorted, rest := make([]NameID, 0, len(texts)), n.mu.sorted
	for _, id := range fresh {
		before := sort.Search(len(rest), func(i int) bool { return texts[rest[i]] > texts[id] })
		sorted = append(append(sorted, rest[:before]...), id)
		rest = rest[before:]
	}
	n.mu.sorted = append(sorted, rest...)
	ranks := make([]int32, len(texts))
	for i, id := range n.mu.sorted {
		ranks[id] = int32(i)
	}
	ranks[Remainder] = int32(len(n.mu.sorted))
	n.mu.ranks = ranks
	return ranks
}
