package tree

import (
	"cmp"
	"slices"
	"strings"
)

// Function is what one function adds up to over the whole tree.
type Function struct {
	Name  string
	Self  int64 // of the stacks that end in it
	Total int64 // of the stacks that it is part of, each counted once
}

// Functions sums the tree by function. A stack that passes through a function
// twice counts once in its total. What a cut took away belongs to no function,
// so only an uncut tree gives true values. The order is by total, then by self,
// largest first, then by name.
func (t *Tree) Functions() []Function {
	sums := make([]Function, len(t.texts))
	totals := t.Totals()
	open := make([]int32, len(t.texts)) // nodes of the current path, by name
	t.walk(func(n NodeID) {
		name := t.nodes[n].name
		sums[name].Self = t.sum(sums[name].Self, t.self[n])
		if open[name] == 0 {
			sums[name].Total = t.sum(sums[name].Total, totals[n])
		}
		open[name]++
	}, func(n NodeID) {
		open[t.nodes[n].name]--
	})
	out := sums[:0]
	for i := int(reserved); i < len(sums); i++ {
		if f := sums[i]; f.Total > 0 {
			f.Name = t.texts[i]
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(b.Self, a.Self), strings.Compare(a.Name, b.Name))
	})
	return out
}

// walk visits all nodes depth first, children in name order.
func (t *Tree) walk(enter, leave func(NodeID)) {
	kids := t.Children()
	type frame struct {
		node NodeID
		rest []NodeID
	}
	enter(Root)
	stack := []frame{{Root, kids.Of(Root)}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.rest) == 0 {
			leave(top.node)
			stack = stack[:len(stack)-1]
			continue
		}
		next := top.rest[0]
		top.rest = top.rest[1:]
		enter(next)
		stack = append(stack, frame{next, kids.Of(next)})
	}
}

// Children lists the children of every node of a tree, as it was when the list
// was made.
type Children struct {
	start []int32 // by NodeID, and one more
	list  []NodeID
}

// Of returns the children of n in the order of their names, the Remainder last.
func (c Children) Of(n NodeID) []NodeID { return c.list[c.start[n]:c.start[n+1]] }

// Children lists the children of all nodes. The nodes are put in order by
// counting, first by name, then, keeping that order, by parent.
func (t *Tree) Children() Children {
	byName := t.nodesByName()
	start := make([]int32, len(t.nodes)+1)
	for _, n := range t.nodes[1:] {
		start[n.parent+1]++
	}
	for i := 1; i < len(start); i++ {
		start[i] += start[i-1]
	}
	next := slices.Clone(start)
	list := make([]NodeID, len(t.nodes)-1)
	for _, id := range byName {
		p := t.nodes[id].parent
		list[next[p]] = id
		next[p]++
	}
	return Children{start, list}
}

// nodesByName returns all nodes but the root in the order of their names.
func (t *Tree) nodesByName() []NodeID {
	order := t.names.order()
	counts := make([]int32, len(order)+1)
	for _, n := range t.nodes[1:] {
		counts[order[n.name]]++
	}
	var at int32
	for rank, n := range counts {
		at, counts[rank] = at+n, at
	}
	out := make([]NodeID, len(t.nodes)-1)
	for id, n := range t.nodes {
		if id > 0 {
			out[counts[order[n.name]]] = NodeID(id)
			counts[order[n.name]]++
		}
	}
	return out
}
