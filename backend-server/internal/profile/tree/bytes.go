package tree

import (
	"encoding/binary"
	"math"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// The encoding ("tree bytes"): nodes depth first, each
//
//	uvarint length of the name, the name, uvarint own value, uvarint number of children
//
// beginning with the root, which has an empty name. Of the children of a node
// the last in name order comes first. A tree without any value is no bytes at
// all. Totals are not stored, and a Remainder is stored under its text, so that
// after decoding it is a function like any other.

// leastNode is the size of the smallest encoded node: three bytes.
const leastNode = 3

// AppendBinary appends the encoded tree to dst. It never fails; the error is
// there for encoding.BinaryAppender.
func (t *Tree) AppendBinary(dst []byte) ([]byte, error) {
	if t.Total() == 0 {
		return dst, nil
	}
	kids := t.Children()
	stack := []NodeID{Root}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		name := ""
		if n != Root {
			name = t.texts[t.nodes[n].name]
		}
		children := kids.Of(n)
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = binary.AppendUvarint(dst, uint64(t.self[n]))
		dst = binary.AppendUvarint(dst, uint64(len(children)))
		stack = append(stack, children...)
	}
	return dst, nil
}

// Decode reads what AppendBinary wrote. Whatever b holds, it takes memory in
// proportion to len(b) at most.
func Decode(b []byte) (*Tree, error) {
	t := New()
	if len(b) == 0 {
		return t, nil
	}
	d := decoder{rest: b}
	name, self, children := d.node()
	if d.err == nil && name != "" {
		d.fail("the root is named %q", name)
	}
	t.Add(Root, self)
	parents := d.expect(nil, Root, children)
	for len(parents) > 0 && d.err == nil {
		parent := parents[len(parents)-1]
		parents = parents[:len(parents)-1]
		name, self, children := d.node()
		if d.err != nil {
			break
		}
		n := t.Child(parent, t.ownName(name))
		t.Add(n, self)
		parents = d.expect(parents, n, children)
	}
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes follow the last node", len(d.rest))
	}
	if d.err != nil {
		return nil, d.err
	}
	return t, nil
}

type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fault.New(fault.Corrupt, "encoded tree: "+format, args...)
	}
}

func (d *decoder) uvarint(what string) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("%s is cut off or too large", what)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) node() (name string, self int64, children uint64) {
	return d.text(), d.value(), d.uvarint("number of children")
}

func (d *decoder) text() string {
	length := d.uvarint("length of a name")
	if length > uint64(len(d.rest)) {
		d.fail("a name of %d bytes, but %d are left", length, len(d.rest))
		return ""
	}
	var name string
	name, d.rest = string(d.rest[:length]), d.rest[length:]
	return name
}

func (d *decoder) value() int64 {
	v := d.uvarint("value of a node")
	if v > math.MaxInt64 {
		d.fail("a value of %d", v)
		return 0
	}
	return int64(v)
}

// expect notes that n children of parent are still to come.
func (d *decoder) expect(parents []NodeID, parent NodeID, n uint64) []NodeID {
	if limit := uint64(len(d.rest) / leastNode); n > limit || uint64(len(parents)) > limit-n {
		d.fail("%d children in %d bytes", n, len(d.rest))
		return nil
	}
	for range n {
		parents = append(parents, parent)
	}
	return parents
}
