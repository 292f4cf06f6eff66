// Package symbols holds the symbol tables of a partition: strings, functions,
// mappings, locations, and stack traces as a tree of locations.
//
// A partition is all profiles of one service. Head and block keep one Table a
// partition; the head grows it through an Interner, a block decodes it from its
// Parquet sections. Queries see the same read-only Table either way.
//
// Invariants:
//
//	S1  tables only grow; an index, once given out, means the same for ever;
//	S2  a node's parent has a smaller index than the node, so that totals are
//	    one pass over the nodes in reverse;
//	S3  index 0 is "" for Strings, "none" for Mappings, the root for Nodes;
//	S4  no two entries of one table are equal (the Interner compares contents,
//	    not only hashes, so there are no collisions to fear).
package symbols

import "github.com/hearth-profiles/hearth/backend-server/internal/profile"

// Node is one node of the stack tree: a location called from Parent.
type Node struct {
	Parent   uint32 // node index, smaller than the node's own
	Location uint32 // location index; meaningless for the root
}

// Table is a read-only view of a partition's symbols. The slices are never
// written through; a view of a growing table stays good and merely stops
// seeing newer entries.
type Table struct {
	Strings   []string
	Mappings  []profile.Mapping
	Functions []profile.Function
	Lines     []profile.Line
	Locations []profile.Location
	Nodes     []Node
	Stacks    []uint32 // stack index → the node of its leaf

	// Memo is nil where a table is too short-lived to keep anything with it.
	Memo *Memo
}

// FunctionName returns the name of function f.
func (t *Table) FunctionName(f uint32) string { return t.Strings[t.Functions[f].Name] }
