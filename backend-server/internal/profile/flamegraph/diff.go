package flamegraph

import (
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// DiffGraph is the flame graph of two trees side by side.
type DiffGraph struct {
	Graph                 // Total is the sum of both sides
	LeftTotal, RightTotal int64
}

// Diff lays out two trees as one graph of the nodes of both. It is cut, as
// Truncate does, to the maxNodes nodes that are largest on both sides together;
// maxNodes below 1 keeps all. Trees with negative values are refused.
func Diff(left, right *tree.Tree, maxNodes int) (*DiffGraph, error) {
	union := tree.New()
	ofLeft, ofRight := union.MergeMap(left), union.MergeMap(right)
	cut, where := union.TruncateMap(maxNodes)
	l, err := newSide("left", left, ofLeft, cut, where)
	if err != nil {
		return nil, err
	}
	r, err := newSide("right", right, ofRight, cut, where)
	if err != nil {
		return nil, err
	}
	total, _ := profile.AddSaturating(l.totals[tree.Root], r.totals[tree.Root])
	g := &DiffGraph{LeftTotal: l.totals[tree.Root], RightTotal: r.totals[tree.Root]}
	g.Total = total
	g.Saturated = union.Saturated || cut.Saturated || l.saturated || r.saturated
	g.layOut(cut, l, r)
	return g, nil
}

// side is the values of one of the trees, by the nodes of the cut union.
type side struct {
	self, totals []int64
	saturated    bool
}

// newSide carries the values of t over to cut, by way of the union of both
// trees: inUnion tells the node of the union for each node of t, where the node
// of cut for each node of the union.
func newSide(name string, t *tree.Tree, inUnion []tree.NodeID, cut *tree.Tree, where []tree.NodeID) (*side, error) {
	s := &side{self: make([]int64, cut.Len()), totals: make([]int64, cut.Len())}
	for i := range tree.NodeID(t.Len()) {
		v := t.Self(i)
		if v < 0 {
			return nil, fault.New(fault.Invalid, "the %s side of the difference has the negative value %d; flame graphs have no negative values", name, v)
		}
		s.add(s.self, where[inUnion[i]], v)
	}
	copy(s.totals, s.self)
	for i := tree.NodeID(cut.Len() - 1); i > tree.Root; i-- {
		s.add(s.totals, cut.Parent(i), s.totals[i])
	}
	return s, nil
}

func (s *side) add(to []int64, n tree.NodeID, v int64) {
	sum, saturated := profile.AddSaturating(to[n], v)
	to[n] = sum
	s.saturated = s.saturated || saturated
}

// place is where a node lies on one side.
type place struct{ start, width int64 }

// cursor runs along one level of one side.
type cursor struct {
	*side
	end int64
}

// bar returns the three numbers of a bar and moves to its end.
func (c *cursor) bar(n tree.NodeID, p place) (offset, width, self int64) {
	offset = p.start - c.end
	c.end = p.start + p.width
	return offset, p.width, min(c.self[n], p.width)
}

func (g *DiffGraph) layOut(t *tree.Tree, left, right *side) {
	type both struct {
		node        tree.NodeID
		left, right place
	}
	names := newNames(t)
	kids := t.Children()
	row := []both{{tree.Root, place{0, left.totals[tree.Root]}, place{0, right.totals[tree.Root]}}}
	for len(row) > 0 {
		level := make([]int64, 0, 7*len(row))
		var next []both
		l, r := cursor{side: left}, cursor{side: right}
		for _, b := range row {
			lo, lw, ls := l.bar(b.node, b.left)
			ro, rw, rs := r.bar(b.node, b.right)
			level = append(level, lo, lw, ls, ro, rw, rs, names.index(t.NameOf(b.node)))
			g.MaxSelf = max(g.MaxSelf, ls, rs)
			lx, rx := b.left.start+ls, b.right.start+rs
			for _, child := range kids.Of(b.node) {
				c := both{
					child,
					place{lx, min(left.totals[child], l.end-lx)},
					place{rx, min(right.totals[child], r.end-rx)},
				}
				lx, rx = lx+c.left.width, rx+c.right.width
				next = append(next, c)
			}
		}
		g.Levels = append(g.Levels, level)
		row = next
	}
	g.Names = names.list
}
