package app

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// A block of which nothing is left stays in the bucket for a while. No deletion
// waits for that.
func TestErasedBlocksAreNotPending(t *testing.T) {
	s := fill(t, objstore.NewInMemBucket(), 61, 2, 20)
	a := &App{bucket: s.bucket}
	rule := deletion.Rule{ID: ulid.Make(), Range: profile.TimeRange{Start: epoch - 100_000_000, End: epoch + 100_000_000}}
	idx := catalog.Index{Written: time.Now(), Blocks: s.blocks(t)}
	require.NoError(t, catalog.WriteIndex(t.Context(), s.bucket, tenant.Anonymous, idx))
	blocks, err := a.concernedBlocks(t.Context(), tenant.Anonymous, &rule)
	require.NoError(t, err)
	require.Len(t, blocks, len(idx.Blocks))

	idx.Erased = []catalog.Erased{{Block: idx.Blocks[0].ID, At: time.Now()}}
	require.NoError(t, catalog.WriteIndex(t.Context(), s.bucket, tenant.Anonymous, idx))
	left, err := a.concernedBlocks(t.Context(), tenant.Anonymous, &rule)
	require.NoError(t, err)
	require.Len(t, left, len(blocks)-1)
	for _, b := range left {
		require.NotEqual(t, idx.Erased[0].Block, b.ID)
	}
}
