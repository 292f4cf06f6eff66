package query

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// deep returns a table of one stack: f1 calls f2 calls f1, and so on, with an
// inlined call in every location.
func deep(nodes uint32) *symbols.Table {
	t := &symbols.Table{Strings: []string{"", "f1", "f2", "in"}, Mappings: []profile.Mapping{{}}, Nodes: []symbols.Node{{}}, Memo: new(symbols.Memo)}
	t.Functions = []profile.Function{{Name: 1}, {Name: 2}, {Name: 3}}
	t.Lines = []profile.Line{{Function: 2}, {Function: 0}, {Function: 2}, {Function: 1}}
	t.Locations = []profile.Location{{LineStart: 0, LineEnd: 2}, {LineStart: 2, LineEnd: 4}}
	for i := range nodes {
		t.Nodes = append(t.Nodes, symbols.Node{Parent: i, Location: i % 2})
	}
	t.Stacks = []uint32{nodes, 0}
	return t
}

func TestPlacesAreKeptAndGrow(t *testing.T) {
	c := newCalls(tree.NewNames())
	table := deep(3 * nodesPerCheck)
	few := *table
	few.Nodes, few.Stacks = table.Nodes[:11], []uint32{10}
	first, err := c.place(t.Context(), &few)
	require.NoError(t, err)
	require.Equal(t, []tree.NodeID{20}, first, "two frames a location")
	again, err := c.place(t.Context(), &few)
	require.NoError(t, err)
	require.Same(t, &first[0], &again[0], "nothing is worked out twice")

	table.Stacks = append([]uint32{10}, table.Stacks...)
	all, err := c.place(t.Context(), table)
	require.NoError(t, err)
	require.Equal(t, []tree.NodeID{20, 6 * nodesPerCheck, tree.Root}, all)
	require.Equal(t, []tree.NodeID{20}, first)
	require.Equal(t, 6*nodesPerCheck+1, c.shape().Len())
	require.NotZero(t, c.bytes.Load())

	fresh, err := newCalls(tree.NewNames()).place(t.Context(), table)
	require.NoError(t, err)
	require.Equal(t, all, fresh, "what was kept for another tree is not used")
}

func TestPlaceEndsWithItsContext(t *testing.T) {
	c, table := newCalls(tree.NewNames()), deep(3*nodesPerCheck)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.place(ctx, table)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, c.shape().Len())
}

// TestPlaceForManyTreesAtOnce: questions of two generations put each other's
// places aside, again and again, and all come to an end.
func TestPlaceForManyTreesAtOnce(t *testing.T) {
	table := deep(8 * nodesPerCheck)
	var wg sync.WaitGroup
	for range 2 {
		c := newCalls(tree.NewNames())
		for range 3 {
			wg.Go(func() {
				stacks, err := c.place(t.Context(), table)
				if err != nil || stacks[0] != 16*nodesPerCheck {
					t.Errorf("%v, %v", stacks, err)
				}
			})
		}
	}
	wg.Wait()
}
