package db_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Blocks are compressed as the option says and answer the same either way, also
// to a database that has another option by now.
func TestBlockCompression(t *testing.T) {
	ctx := context.Background()
	sizes, answers := map[table.Compression]int64{}, map[table.Compression]dbtest.Stacks{}
	for _, c := range []table.Compression{table.Zstd, table.None} {
		fs := vfs.NewMem()
		d, err := db.Open(ctx, "data", db.Options{FS: fs, BlockCompression: c})
		require.NoError(t, err)
		gen := newGenerator(1)
		var recs []profile.Record
		for range 500 {
			recs = append(recs, gen.Record())
		}
		require.Nil(t, d.Append(ctx, recs))
		require.NoError(t, d.Flush(ctx))
		for _, b := range d.Unshipped() {
			sizes[c] += b.Meta.Files[0].Size
		}
		require.NoError(t, d.Close())

		d, err = db.Open(ctx, "data", db.Options{FS: fs, BlockCompression: 1 - c})
		require.NoError(t, err)
		view := d.View(profile.TimeRange{})
		tree, err := query.Tree(ctx, view.Units, query.Selection{Type: dbtest.Types[0], Range: profile.TimeRange{Start: gen.Start, End: gen.Start + profile.UnixMilli(gen.Length)}})
		require.NoError(t, err)
		answers[c] = dbtest.FlattenTree(tree)
		view.Release()
		require.NoError(t, d.Close())
	}
	require.Less(t, sizes[table.Zstd], sizes[table.None])
	require.NotEmpty(t, answers[table.Zstd])
	require.Equal(t, answers[table.Zstd], answers[table.None])
}
