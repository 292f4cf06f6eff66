package store

import (
	"context"
	"errors"
	"io"
	"sync"

	upstream "github.com/ncw/swift"

	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/swift"
)

// lazySwift logs in when it is first used, since objstore's provider does so
// when it is made (O2).
type lazySwift struct {
	cfg swift.Config

	mu   sync.Mutex // guards open; held while it logs in
	open *swift.Container
}

// do gives the container to f, or fails if it cannot be had. The client knows
// no contexts: an ended one is noticed between two calls only.
func (l *lazySwift) do(ctx context.Context, f func(*swift.Container) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := l.container()
	if err != nil {
		return err
	}
	return f(c)
}

func (l *lazySwift) container() (*swift.Container, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		cfg := l.cfg
		c, err := swift.NewContainerFromConfig(log.NewNopLogger(), &cfg, false, nil)
		if err != nil {
			return nil, err
		}
		l.open = c
	}
	return l.open, nil
}

// Iter implements objstore.BucketReader.
func (l *lazySwift) Iter(ctx context.Context, dir string, f func(string) error, o ...objstore.IterOption) error {
	return l.do(ctx, func(c *swift.Container) error { return c.Iter(ctx, dir, f, o...) })
}

// IterWithAttributes implements objstore.BucketReader.
func (l *lazySwift) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, o ...objstore.IterOption) error {
	return l.do(ctx, func(c *swift.Container) error { return c.IterWithAttributes(ctx, dir, f, o...) })
}

// SupportedIterOptions implements objstore.BucketReader.
func (l *lazySwift) SupportedIterOptions() []objstore.IterOptionType {
	return []objstore.IterOptionType{objstore.Recursive}
}

// Get implements objstore.BucketReader.
func (l *lazySwift) Get(ctx context.Context, name string) (r io.ReadCloser, err error) {
	err = l.do(ctx, func(c *swift.Container) error { r, err = c.Get(ctx, name); return err })
	return r, err
}

// GetRange implements objstore.BucketReader.
func (l *lazySwift) GetRange(ctx context.Context, name string, off, length int64) (r io.ReadCloser, err error) {
	err = l.do(ctx, func(c *swift.Container) error { r, err = c.GetRange(ctx, name, off, length); return err })
	return r, err
}

// Exists implements objstore.BucketReader.
func (l *lazySwift) Exists(ctx context.Context, name string) (there bool, err error) {
	err = l.do(ctx, func(c *swift.Container) error { there, err = c.Exists(ctx, name); return err })
	return there, err
}

// Attributes implements objstore.BucketReader.
func (l *lazySwift) Attributes(ctx context.Context, name string) (a objstore.ObjectAttributes, err error) {
	err = l.do(ctx, func(c *swift.Container) error { a, err = c.Attributes(ctx, name); return err })
	return a, err
}

// Upload implements objstore.Bucket.
func (l *lazySwift) Upload(ctx context.Context, name string, r io.Reader, o ...objstore.ObjectUploadOption) error {
	return l.do(ctx, func(c *swift.Container) error { return c.Upload(ctx, name, r, o...) })
}

// Delete implements objstore.Bucket.
func (l *lazySwift) Delete(ctx context.Context, name string) error {
	return l.do(ctx, func(c *swift.Container) error { return c.Delete(ctx, name) })
}

// IsObjNotFoundErr implements objstore.BucketReader.
func (l *lazySwift) IsObjNotFoundErr(err error) bool { return errors.Is(err, upstream.ObjectNotFound) }

// IsAccessDeniedErr implements objstore.BucketReader.
func (l *lazySwift) IsAccessDeniedErr(err error) bool { return errors.Is(err, upstream.Forbidden) }

// Provider implements objstore.Bucket.
func (l *lazySwift) Provider() objstore.ObjProvider { return objstore.SWIFT }

// Name implements objstore.Bucket.
func (l *lazySwift) Name() string { return l.cfg.ContainerName }

// Close implements io.Closer.
func (l *lazySwift) Close() error { return nil }

var _ objstore.Bucket = (*lazySwift)(nil)
