package query

import (
	"context"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Tree merges what sel selects into a call tree of function names.
func Tree(ctx context.Context, qs []Queryable, sel Selection) (*tree.Tree, error) {
	parts, err := each(ctx, overlapping(qs, sel.Range), func(ctx context.Context, q Queryable) (*tree.Tree, error) {
		sums, err := sumStacks(ctx, q, &sel)
		if err != nil {
			return nil, err
		}
		t := tree.New()
		for i := range sums {
			addToTree(t, sums[i].table, sums[i].cut(sel.CallSite))
			t.Saturated = t.Saturated || sums[i].saturated
		}
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return tree.New(), nil
	}
	out := parts[0]
	for _, t := range parts[1:] {
		out.Merge(t)
	}
	return out, nil
}

// addToTree adds the sums by stack to t, with a node for every frame: inlined
// calls are frames of their own.
func addToTree(t *tree.Tree, table *symbols.Table, sums []int64) {
	self := make([]int64, len(table.Nodes))
	needed := make([]bool, len(table.Nodes))
	for stack, v := range sums {
		if v != 0 {
			node := table.Stacks[stack]
			self[node], _ = profile.AddSaturating(self[node], v)
			needed[node] = true
		}
	}
	for n := len(table.Nodes) - 1; n > 0; n-- {
		if needed[n] {
			needed[table.Nodes[n].Parent] = true
		}
	}
	names := make([]tree.NameID, len(table.Functions)) // plus one; 0 is not yet known
	frames := make([]tree.NodeID, len(table.Nodes))
	t.Add(0, self[0])
	for n := 1; n < len(table.Nodes); n++ {
		if !needed[n] {
			continue
		}
		at := frames[table.Nodes[n].Parent]
		l := table.Locations[table.Nodes[n].Location]
		for i := l.LineEnd; i > l.LineStart; i-- {
			f := table.Lines[i-1].Function
			if names[f] == 0 {
				names[f] = t.Name(table.FunctionName(f)) + 1
			}
			at = t.Child(at, names[f]-1)
		}
		frames[n] = at
		if self[n] != 0 {
			t.Add(at, self[n])
		}
	}
}
