package bucket

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func TestGuard(t *testing.T) {
	ctx := context.Background()
	meta := func(b objstore.Bucket) error {
		return b.Upload(ctx, "t/blocks/x/"+metaFile, strings.NewReader("{}"))
	}
	mounted, unmounted := objstore.NewInMemBucket(), objstore.NewInMemBucket()
	noted := 0
	note := func() error { noted++; return nil }

	first := NewGuard(mounted, false, note)
	require.NoError(t, first.Upload(ctx, "t/blocks/x/data.hearth", strings.NewReader("")))
	require.Zero(t, noted, "no block is whole yet")
	require.NoError(t, meta(first))
	require.NoError(t, meta(first))
	require.Equal(t, 1, noted)
	tenants, err := Tenants(ctx, first)
	require.NoError(t, err)
	require.Equal(t, []string{"t"}, tenants, "the marker is no tenant")

	for _, b := range []objstore.Bucket{unmounted, objstore.NewPrefixedBucket(mounted, "other")} {
		away := NewGuard(b, true, note)
		_, err = Tenants(ctx, away)
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		require.ErrorContains(t, err, Marker)
		require.Error(t, meta(away))
	}
	require.Empty(t, unmounted.Objects())
	_, err = Tenants(ctx, NewGuard(mounted, true, note))
	require.NoError(t, err)

	forgetful := NewGuard(unmounted, false, func() error { return errors.New("the disk is full") })
	_, err = Tenants(ctx, forgetful)
	require.ErrorContains(t, err, "the disk is full")
	require.False(t, forgetful.known.Load(), "it is tried again")
}
