package bucket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"sync/atomic"

	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Marker is the name of an object that says that a bucket is one of ours.
const Marker = "hearth-bucket.json"

var marker = []byte(`{"version":1}` + "\n")

// Guard is a bucket that is known again. A folder that is not mounted, or a
// prefix that was changed, looks like a bucket without blocks: readers would
// find nothing and say so, and blocks would be shipped to nowhere. So a bucket
// has a Marker, and once it was seen, nothing is listed and no block becomes
// whole where it is missing.
type Guard struct {
	objstore.Bucket
	known atomic.Bool
	note  func() error
}

// NewGuard returns a guard of bkt. known says whether its marker was seen before;
// if not, there may be none, it is made then, and note is called to remember it.
func NewGuard(bkt objstore.Bucket, known bool, note func() error) *Guard {
	g := &Guard{Bucket: bkt, note: note}
	g.known.Store(known)
	return g
}

// check makes sure that the marker is there.
func (g *Guard) check(ctx context.Context) error {
	there, err := g.Exists(ctx, Marker)
	if err != nil {
		return fmt.Errorf("marker of the bucket: %w", err)
	}
	if !there && g.known.Load() {
		return fault.New(fault.Unavailable, "the bucket %s has no object %s, though it once had: is a folder not mounted, or -storage.prefix another one? If it is meant to be a new bucket, remove %s from the data folder",
			g.Name(), Marker, SeenFile)
	}
	if !there {
		if err := g.Bucket.Upload(ctx, Marker, bytes.NewReader(marker)); err != nil {
			return fmt.Errorf("marker of the bucket: %w", err)
		}
	}
	if !g.known.Load() {
		if err := g.note(); err != nil {
			return fmt.Errorf("marker of the bucket: %w", err)
		}
		g.known.Store(true)
	}
	return nil
}

// SeenFile is the file in the data folder that says that a marker was seen.
const SeenFile = "bucket-seen"

// Iter implements objstore.BucketReader.
func (g *Guard) Iter(ctx context.Context, dir string, f func(string) error, o ...objstore.IterOption) error {
	if dir == "" {
		if err := g.check(ctx); err != nil {
			return err
		}
	}
	return g.Bucket.Iter(ctx, dir, f, o...)
}

// Upload implements objstore.Bucket.
func (g *Guard) Upload(ctx context.Context, name string, r io.Reader, o ...objstore.ObjectUploadOption) error {
	if path.Base(name) == metaFile { // it makes the block whole (B1)
		if err := g.check(ctx); err != nil {
			return err
		}
	}
	return g.Bucket.Upload(ctx, name, r, o...)
}

var _ objstore.Bucket = (*Guard)(nil)
