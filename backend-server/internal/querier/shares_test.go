package querier

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// blocks is a bucket that several gateways read. gone are blocks that are not
// there any more, the next time that one is asked for.
type blocks struct {
	units map[ulid.ULID]query.Queryable

	mu    sync.Mutex
	asked []ulid.ULID
	gone  []ulid.ULID
}

func (b *blocks) view(_ context.Context, _ string, q *question.Question) ([]query.Queryable, func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []query.Queryable
	for _, id := range q.Only {
		b.asked = append(b.asked, id)
		if i := slices.Index(b.gone, id); i >= 0 {
			b.gone = slices.Delete(b.gone, i, i+1)
			return nil, nil, fault.New(fault.NotFound, "block %s", id)
		}
		out = append(out, b.units[id])
	}
	return out, func() {}, nil
}

// sharded has three store-gateways and three blocks, each with a profile that
// only it has.
func sharded(t *testing.T) (*cast, []*blocks) {
	c := newCast(t, 3)
	c.gateways, c.blocks = nil, nil
	e := NewEngine(Config{})
	units := map[ulid.ULID]query.Queryable{}
	for i := range 3 {
		n := byte(firstBlock * (i + 4)) // no head has it
		c.blocks = append(c.blocks, id(n))
		units[c.blocks[i]] = &several{unit: block("r", n, 0), ids: []uint64{uint64(profiles - 1 + i)}}
	}
	var buckets []*blocks
	for i := range 3 {
		b := &blocks{units: units}
		buckets = append(buckets, b)
		c.gateways = append(c.gateways, &member{name: fmt.Sprint("g", i), Store: replica.NewLocal(b.view, e.Engine, e.Digester)})
	}
	return c, buckets
}

func TestEachGatewayIsAskedForItsBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, buckets := sharded(t)
		got, err := c.read(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, profiles+2, got)
		for i, b := range buckets {
			require.Equal(t, []ulid.ULID{c.blocks[i]}, b.asked)
		}
	})
	for name, at := range stages {
		bubble(t, "one fails: "+name, func(t *testing.T) {
			c, _ := sharded(t)
			fail(at, fault.New(fault.Unavailable, "stopping"), c.gateways[1])
			got, err := c.read(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, profiles+2, got)
		})
	}
}

// A block that was removed since a gateway told of it is no reason to fail, if
// the gateway tells of another one then.
func TestBlockIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, buckets := sharded(t)
		c.gateways = c.gateways[:1]
		buckets[0].gone = []ulid.ULID{c.blocks[2]}
		got, err := c.read(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, profiles+2, got)

		buckets[0].gone = []ulid.ULID{c.blocks[2], c.blocks[2]}
		_, err = c.read(t.Context())
		require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	})
}

// What a gateway says is deleted is asked for nowhere.
func TestDeletedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := sharded(t)
		c.deleted = deletion.Rules{{ID: id(1), Range: profile.TimeRange{Start: 100, End: 149}}}
		got, err := c.read(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, profiles+2, got)
		c.deleted[0].Range.End = 150 // when all profiles are of
		got, err = c.read(t.Context())
		require.NoError(t, err)
		require.Zero(t, got)
	})
}
