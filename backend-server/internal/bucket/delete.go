package bucket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// Delete removes a block. The meta file goes first, so that what a failure
// leaves is no block (B1); Delete may then be called again.
func Delete(ctx context.Context, bkt objstore.Bucket, tenantID string, id ulid.ULID) error {
	if err := Remove(ctx, bkt, object(tenantID, id, metaFile)); err != nil {
		return fmt.Errorf("delete block %s: meta file: %w", id, err)
	}
	var errs []error
	err := bkt.Iter(ctx, object(tenantID, id, "")+objstore.DirDelim, func(name string) error {
		errs = append(errs, Remove(ctx, bkt, name))
		return nil
	}, objstore.WithRecursiveIter())
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("delete block %s: %w", id, err)
	}
	return nil
}

// Remove deletes an object, which need not be there.
func Remove(ctx context.Context, bkt objstore.Bucket, name string) error {
	err := bkt.Delete(ctx, name)
	if err == nil || bkt.IsObjNotFoundErr(err) {
		return nil
	}
	// Some stores say that something is missing in ways of their own.
	if there, checkErr := bkt.Exists(ctx, name); checkErr == nil && !there {
		return nil
	}
	return err
}

// Newest returns when the youngest object of a block was written; the zero time
// if there are none.
func Newest(ctx context.Context, bkt objstore.BucketReader, tenantID string, id ulid.ULID) (time.Time, error) {
	var newest time.Time
	err := bkt.Iter(ctx, object(tenantID, id, "")+objstore.DirDelim, func(name string) error {
		attrs, err := bkt.Attributes(ctx, name)
		if err == nil && attrs.LastModified.After(newest) {
			newest = attrs.LastModified
		}
		if err != nil && bkt.IsObjNotFoundErr(err) {
			return nil
		}
		return err
	}, objstore.WithRecursiveIter())
	if err != nil {
		return newest, fmt.Errorf("block %s: %w", id, err)
	}
	return newest, nil
}
