package app

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// A deletion that retention has overtaken is in force for as long as there are
// blocks of its time: profiles may be kept for longer again.
func TestDeletionsEndAfterTheirBlocks(t *testing.T) {
	a := &App{bucket: objstore.NewInMemBucket()}
	rule := deletion.Rule{ID: ulid.Make(), Created: time.Now(), Range: profile.TimeRange{Start: 10, End: 20}}
	require.NoError(t, deletion.Put(t.Context(), a.bucket, tenant.Anonymous, &rule))
	stored := func(blocks ...*block.Meta) int {
		require.NoError(t, catalog.WriteIndex(t.Context(), a.bucket, tenant.Anonymous, catalog.Index{Written: time.Now(), Blocks: blocks}))
		require.NoError(t, a.endOvertaken(t.Context(), tenant.Anonymous, deletion.Rules{rule}, 30))
		left, err := deletion.List(t.Context(), a.bucket, tenant.Anonymous)
		require.NoError(t, err)
		return len(left)
	}
	m := &block.Meta{Version: block.Version, ID: ulid.Make(), MinTime: 15, MaxTime: 40, Files: []block.File{{Name: block.DataFile}}}
	require.Equal(t, 1, stored(m))
	m.MinTime = 21
	require.Zero(t, stored(m))

	a.bucket = objstore.NewInMemBucket()
	require.NoError(t, a.endOvertaken(t.Context(), tenant.Anonymous, deletion.Rules{rule}, 30), "there is no index")
}
