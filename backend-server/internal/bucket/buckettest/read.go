package buckettest

import (
	"context"
	"errors"
	"io"

	"github.com/thanos-io/objstore"
)

// Get implements objstore.BucketReader.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	return b.read(ctx, Get, name, func() (io.ReadCloser, error) { return b.Bucket.Get(ctx, name) })
}

// GetRange implements objstore.BucketReader.
func (b *Bucket) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	return b.read(ctx, GetRange, name, func() (io.ReadCloser, error) { return b.Bucket.GetRange(ctx, name, off, length) })
}

func (b *Bucket) read(ctx context.Context, op Op, name string, open func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	if err := b.look(ctx, op, name); err != nil {
		return nil, err
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	size, err := objstore.TryToGetSize(r)
	return &countedReader{r: r, size: size, sizeErr: err, add: func(n int) { b.add(&b.stats.Read, n) }}, nil
}

// look begins a read of one object: it may be one that is not there yet.
func (b *Bucket) look(ctx context.Context, op Op, name string) error {
	if _, err := b.begin(ctx, op, name); err != nil {
		return err
	}
	if b.unreadable(name) {
		return errNotYet
	}
	return nil
}

// Exists implements objstore.BucketReader.
func (b *Bucket) Exists(ctx context.Context, name string) (bool, error) {
	err := b.look(ctx, Exists, name)
	if errors.Is(err, errNotYet) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return b.Bucket.Exists(ctx, name)
}

// Attributes implements objstore.BucketReader.
func (b *Bucket) Attributes(ctx context.Context, name string) (objstore.ObjectAttributes, error) {
	if err := b.look(ctx, Attributes, name); err != nil {
		return objstore.ObjectAttributes{}, err
	}
	return b.Bucket.Attributes(ctx, name)
}

// IsObjNotFoundErr implements objstore.BucketReader.
func (b *Bucket) IsObjNotFoundErr(err error) bool {
	return errors.Is(err, errNotYet) || b.Bucket.IsObjNotFoundErr(err)
}
