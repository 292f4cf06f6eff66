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
//	S4  no two entries of one table are equal, unless a damaged log was
//	    replayed; and different things never share an entry, see below.
//
// # Digests
//
// A profile repeats stack traces that are known. To find that out without a
// look-up for each of its strings, functions and locations, all of them get a
// digest of 128 bits, made from their contents and the digests of their parts
// in one pass over the profile's arrays; so does the stack trace of each sample,
// which is then found with one look-up. Only a stack that is not found has its
// locations looked up, and what they consist of.
//
// All but stacks are found by comparing contents. If two locations that differ
// are seen to have one digest, the Interner chooses other digests, and the
// record is translated from the start; when an index is made anew, that is
// checked for stacks too. A stack that is found is not compared. Two that
// differ would be taken for one if 96 bits were equal: all 64 of one lane and 32
// of the other. The lanes are hashes of the kind that hash/maphash is (which
// makes those of strings), with keys of their own that are drawn when the
// process starts and that nothing shows, so nobody can look for two such stacks.
// Among n of them there are some with a probability of about n²/2⁹⁷: for ten
// million in one partition, 1 in 10¹⁵.
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
