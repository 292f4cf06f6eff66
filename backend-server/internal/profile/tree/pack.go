package tree

import (
	"encoding/binary"
	"math"
	"slices"
)

// A packed tree is what one process tells another: all of a tree, T1 to T4,
// with every name once. AppendBinary is the form that clients know, which
// repeats names and has none for a Remainder.
//
//	byte of flags: 1 is Saturated
//	uvarint number of names, each a uvarint length and its bytes
//	uvarint number of nodes, each but the root
//	        uvarint own ID less the parent's, uvarint name, uvarint own value
//	        the root only its own value
//
// The name of a node is 0 for a Remainder, else one more than the place of the
// name in the list.

const packedSaturated = 1

// leastPacked is the size of the smallest packed node.
const leastPacked = 3

// AppendPacked appends the packed tree to dst.
func (t *Tree) AppendPacked(dst []byte) []byte {
	flags := byte(0)
	if t.Saturated {
		flags = packedSaturated
	}
	dst = append(dst, flags)
	place := make([]uint32, len(t.texts))
	var used []NameID
	for _, n := range t.nodes[1:] {
		if n.name >= reserved && place[n.name] == 0 {
			used = append(used, n.name)
			place[n.name] = uint32(len(used))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(used)))
	for _, id := range used {
		dst = binary.AppendUvarint(dst, uint64(len(t.texts[id])))
		dst = append(dst, t.texts[id]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.nodes)))
	dst = binary.AppendUvarint(dst, uint64(t.self[Root]))
	for i, n := range t.nodes[1:] {
		dst = binary.AppendUvarint(dst, uint64(i+1-int(n.parent)))
		dst = binary.AppendUvarint(dst, uint64(place[n.name]))
		dst = binary.AppendUvarint(dst, uint64(t.self[i+1]))
	}
	return dst
}

// Unpack reads what AppendPacked wrote. Whatever b holds, it takes memory in
// proportion to len(b) at most. The tree keeps nothing of b. That no node is
// there twice (T2) is not checked, it would cost more than all the rest: if b
// has one twice, so has the tree, until it is merged into another.
func Unpack(b []byte) (*Tree, error) {
	d := decoder{rest: b}
	if len(b) == 0 {
		d.fail("it is empty")
		return nil, d.err
	}
	d.rest = b[1:]
	if b[0]&^packedSaturated != 0 {
		d.fail("unknown flags %#x", b[0])
	}
	t := New()
	t.Saturated = b[0]&packedSaturated != 0
	names := d.names(t)
	d.nodes(t, names)
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes follow the last node", len(d.rest))
	}
	if d.err != nil {
		return nil, d.err
	}
	return t, nil
}

// names reads the list of names, behind that of a Remainder.
func (d *decoder) names(t *Tree) []NameID {
	n := d.uvarint("number of names")
	if n > uint64(len(d.rest)) {
		d.fail("%d names in %d bytes", n, len(d.rest))
		return nil
	}
	out := make([]NameID, 1, n+1)
	out[0] = Remainder
	for range n {
		text := d.text()
		if d.err != nil {
			return nil
		}
		out = append(out, t.ownName(text))
	}
	return out
}

func (d *decoder) nodes(t *Tree, names []NameID) {
	n := d.uvarint("number of nodes")
	if d.err != nil {
		return
	}
	if n == 0 || (n-1) > uint64(len(d.rest)/leastPacked) || n > math.MaxInt32 {
		d.fail("%d nodes in %d bytes", n, len(d.rest))
		return
	}
	t.nodes, t.self = slices.Grow(t.nodes, int(n-1)), slices.Grow(t.self, int(n-1))
	t.self[Root] = d.value()
	for id := uint64(1); id < n; id++ {
		up, name, self := d.uvarint("parent of a node"), d.uvarint("name of a node"), d.value()
		switch {
		case d.err != nil:
			return
		case up == 0 || up > id:
			d.fail("node %d has a parent %d before it", id, up)
			return
		case name >= uint64(len(names)):
			d.fail("node %d has name %d of %d", id, name, len(names))
			return
		}
		t.nodes = append(t.nodes, node{NodeID(id - up), names[name]})
		t.self = append(t.self, self)
	}
}
