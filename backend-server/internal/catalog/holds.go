package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Holds returns the blocks of the bucket that have what a block has: the block
// itself, or those that have taken its place; none if deletions have left
// nothing of it. They are in the bucket whole. Where there are none, the error
// is NotFound; where a file is not what it should be, Corrupt.
func Holds(ctx context.Context, bkt objstore.BucketReader, tenantID string, meta *block.Meta) ([]ulid.ULID, error) {
	err := Verify(ctx, bkt, tenantID, meta)
	if err == nil {
		return []ulid.ULID{meta.ID}, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	idx, indexErr := ReadIndex(ctx, bkt, tenantID)
	if indexErr != nil {
		return nil, fmt.Errorf("%w (and whether others have taken its place is not known: %w)", err, indexErr)
	}
	if slices.ContainsFunc(idx.Erased, func(e Erased) bool { return e.Block == meta.ID }) {
		return nil, nil
	}
	var out []ulid.ULID
	for _, m := range NewSet(idx.Blocks...).Replacements(meta.ID) {
		if err := Verify(ctx, bkt, tenantID, m); err != nil {
			return nil, err
		}
		out = append(out, m.ID)
	}
	if len(out) == 0 {
		return nil, err
	}
	return out, nil
}

// Verify looks whether the bucket has all of a block. What is missing is
// NotFound, what differs Corrupt.
func Verify(ctx context.Context, bkt objstore.BucketReader, tenantID string, meta *block.Meta) error {
	files := make([]bucket.File, len(meta.Files))
	for i, f := range meta.Files {
		files[i] = bucket.File(f)
	}
	return bucket.Verify(ctx, bkt, tenantID, meta.ID, files)
}
