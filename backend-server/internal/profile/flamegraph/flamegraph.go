// Package flamegraph lays call trees out as flame graphs: levels of bars.
//
// A level is all nodes of one depth, left to right, and a bar is four numbers:
//
//	offset, total, self, name
//
// The offset is the gap between the end of the bar before it in the level and
// its own start; name is an index into Names. A node's own value lies at its
// left end, its children follow in the order of their names, what a cut took
// away last. The first level is one bar, the root.
//
// In the graph of a difference a bar is seven numbers, the first three of the
// left side, the next three of the right, each side with gaps of its own:
//
//	offset, total, self, offset, total, self, name
package flamegraph

import "github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"

// Graph is a flame graph.
type Graph struct {
	Names     []string // Names[0] is the root's
	Levels    [][]int64
	Total     int64
	MaxSelf   int64
	Saturated bool // a value reached the largest number and was held there
}

// FromTree lays out a tree. An empty one has a root of no width.
func FromTree(t *tree.Tree) *Graph {
	totals := t.Totals()
	g := &Graph{Total: totals[tree.Root], Saturated: t.Saturated}
	names := newNames(t)
	kids := t.Children()
	// Level by level, from left to right: a level's bars begin where those of
	// the level above end. All levels are cut from one array.
	bars := append(make([]bar, 0, t.Len()), bar{node: tree.Root, width: totals[tree.Root]})
	values := make([]int64, 0, 4*t.Len())
	for first := 0; first < len(bars); {
		level, after := len(values), len(bars)
		var end int64
		for _, b := range bars[first:after] {
			self := min(t.Self(b.node), b.width)
			g.MaxSelf = max(g.MaxSelf, self)
			values = append(values, b.start-end, b.width, self, names.index(t.NameOf(b.node)))
			end = b.start + b.width
			x := b.start + self
			for _, child := range kids.Of(b.node) {
				width := min(totals[child], end-x)
				bars = append(bars, bar{child, x, width})
				x += width
			}
		}
		g.Levels = append(g.Levels, values[level:len(values):len(values)])
		first = after
	}
	g.Names = names.list
	return g
}

// bar is a node with its place. Its width is the node's total, except where
// totals are held at the largest number: there children are narrowed to what is
// left of their parent, so that bars never overlap.
type bar struct {
	node         tree.NodeID
	start, width int64
}

// names gives the names of a tree their places in Names, in the order in which
// they are first asked for.
type names struct {
	tree  *tree.Tree
	place []int64 // by NameID, 0 for none but the root's
	list  []string
}

func newNames(t *tree.Tree) *names {
	return &names{tree: t, place: make([]int64, t.Names()), list: []string{tree.RootLabel}}
}

func (n *names) index(id tree.NameID) int64 {
	if id == tree.RootName {
		return 0
	}
	if n.place[id] == 0 {
		n.place[id] = int64(len(n.list))
		n.list = append(n.list, n.tree.Label(id))
	}
	return n.place[id]
}
