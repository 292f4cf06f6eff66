package query

import (
	"context"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// calls is the call tree, by function name, of all stacks of one service that
// any question has met so far. It only grows and holds no values.
//
// Every unit numbers its stacks in its own way; what they have in common is the
// names. To build a tree of names for every question, and to merge the trees of
// the units, was most of what a question cost. Now the place of every stack of
// a unit in the service's tree is worked out once and kept with the unit's
// symbols, as long as both are there. Then units are merged by adding to an
// array, and the sums of all nodes are one pass over it.
type calls struct {
	names *tree.Names
	bytes atomic.Int64 // of t, estimated

	mu sync.Mutex
	t  *tree.Tree
}

func newCalls(names *tree.Names) *calls { return &calls{names: names, t: tree.NewIn(names)} }

// shape returns the tree as it stands.
func (c *calls) shape() *tree.Tree {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t.Shape()
}

// places is where the symbols of a table lie in a call tree, as far as they have
// been looked at.
type places struct {
	of        weak.Pointer[calls] // only to tell which one it was: it may be gone
	functions []tree.NameID
	nodes     []tree.NodeID
	stacks    []tree.NodeID
}

// nodesPerCheck is how many nodes are placed at a time.
const nodesPerCheck = 1 << 14

// place returns the nodes that the stacks of a table end in. It works in
// portions, so that nobody who waits for the same table waits long; what has
// been found is kept even if ctx ends.
func (c *calls) place(ctx context.Context, table *symbols.Table) (stacks []tree.NodeID, err error) {
	memo := table.Memo
	if memo == nil {
		memo = new(symbols.Memo)
	}
	p := &places{of: weak.Make(c)}
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		memo.Update(func(kept any) any {
			// What is kept may be about another tree. Then this one's takes
			// its place, with what there is of it: two questions that put each
			// other's aside both come to an end.
			if k, ok := kept.(*places); ok && k.of == p.of && len(k.nodes) >= len(p.nodes) {
				p = k
			}
			if done = p.grow(c, table); done {
				stacks = p.stacks[:len(table.Stacks)]
			}
			return p
		})
	}
	return stacks, nil
}

// grow places a portion of what table has more than p and reports whether that
// was the last. Readers may hold p.stacks: it is only appended to.
func (p *places) grow(c *calls, table *symbols.Table) bool {
	for f := len(p.functions); f < len(table.Functions); f++ {
		p.functions = append(p.functions, c.names.ID(table.FunctionName(uint32(f))))
	}
	if end := min(len(p.nodes)+nodesPerCheck, len(table.Nodes)); end > len(p.nodes) {
		p.growNodes(c, table, end)
	}
	if len(p.nodes) < len(table.Nodes) {
		return false
	}
	for s := len(p.stacks); s < len(table.Stacks); s++ {
		p.stacks = append(p.stacks, p.nodes[table.Stacks[s]])
	}
	return true
}

// growNodes places the nodes up to the given one, with a node of the call tree
// for every frame: inlined calls are frames of their own.
func (p *places) growNodes(c *calls, table *symbols.Table, end int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(p.nodes); n < end; n++ {
		at := tree.Root
		if n > 0 {
			at = p.nodes[table.Nodes[n].Parent]
			l := &table.Locations[table.Nodes[n].Location]
			for i := l.LineEnd; i > l.LineStart; i-- {
				at = c.t.Child(at, p.functions[table.Lines[i-1].Function])
			}
		}
		p.nodes = append(p.nodes, at)
	}
	c.bytes.Store(c.t.Bytes())
}
