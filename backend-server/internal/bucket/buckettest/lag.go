package buckettest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/thanos-io/objstore"
)

// errNotYet is the error of reads that lag.
var errNotYet = errors.New("object not found (yet)")

// late is an upload that the store does not know everywhere yet.
type late struct {
	listed int // number of the call from which on listings have it
	reads  int // that find nothing
}

// ghost is a deleted object that listings still have.
type ghost struct {
	until    int // number of the call from which on they do not
	modified time.Time
}

// noteUpload lets lag begin for an object that is new. One that is overwritten
// stays known: that reads may return its former content is not imitated.
func (b *Bucket) noteUpload(ctx context.Context, name string) error {
	if b.lag == (Lag{}) {
		return nil
	}
	there, err := b.Bucket.Exists(ctx, name)
	if err != nil || there {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ghostly := b.ghosts[name]; !ghostly {
		b.hidden[name] = &late{listed: b.total + b.lag.List, reads: b.lag.Read}
	}
	delete(b.ghosts, name)
	return nil
}

// noteDelete lets lag begin for an object that goes away.
func (b *Bucket) noteDelete(ctx context.Context, name string) error {
	if b.lag.List == 0 {
		return nil
	}
	attrs, err := b.Bucket.Attributes(ctx, name)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.hidden[name]; l == nil || l.listed < b.total {
		b.ghosts[name] = &ghost{until: b.total + b.lag.List, modified: attrs.LastModified}
	}
	delete(b.hidden, name)
	return nil
}

// unreadable reports whether a read finds nothing yet, and counts it.
func (b *Bucket) unreadable(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.hidden[name]
	if l == nil || l.reads == 0 {
		return false
	}
	l.reads--
	return true
}

// Iter implements objstore.BucketReader.
func (b *Bucket) Iter(ctx context.Context, dir string, f func(string) error, o ...objstore.IterOption) error {
	return b.list(ctx, dir, func(a objstore.IterObjectAttributes) error { return f(a.Name) }, o)
}

// IterWithAttributes implements objstore.BucketReader.
func (b *Bucket) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, o ...objstore.IterOption) error {
	if err := objstore.ValidateIterOptions(b.SupportedIterOptions(), o...); err != nil {
		return err
	}
	return b.list(ctx, dir, f, o)
}

func (b *Bucket) list(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, o []objstore.IterOption) error {
	if _, err := b.begin(ctx, Iter, dir); err != nil {
		return err
	}
	params := objstore.ApplyIterOptions(o...)
	objects := map[string]time.Time{}
	options := []objstore.IterOption{objstore.WithRecursiveIter()}
	if params.LastModified {
		options = append(options, objstore.WithUpdatedAt())
	}
	err := b.Bucket.IterWithAttributes(ctx, dir, func(a objstore.IterObjectAttributes) error {
		objects[a.Name], _ = a.LastModified()
		return nil
	}, options...)
	if err != nil {
		return err
	}
	shown := b.seen(folder(dir), objects, params.Recursive)
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		a := objstore.IterObjectAttributes{Name: name}
		if params.LastModified && !strings.HasSuffix(name, objstore.DirDelim) {
			a.SetLastModified(shown[name])
		}
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

// folder returns the name that all objects in dir begin with.
func folder(dir string) string {
	if dir == "" {
		return ""
	}
	return strings.TrimSuffix(dir, objstore.DirDelim) + objstore.DirDelim
}

// seen turns the true objects in a folder into those that a listing shows now.
func (b *Bucket) seen(dir string, objects map[string]time.Time, recursive bool) map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.total
	for name, l := range b.hidden {
		if now <= l.listed {
			delete(objects, name)
		}
	}
	for name, g := range b.ghosts {
		if now <= g.until && strings.HasPrefix(name, dir) {
			objects[name] = g.modified
		}
	}
	if recursive {
		return objects
	}
	out := map[string]time.Time{}
	for name, modified := range objects {
		first, _, deeper := strings.Cut(strings.TrimPrefix(name, dir), objstore.DirDelim)
		if deeper {
			first += objstore.DirDelim
		}
		out[dir+first] = modified
	}
	return out
}
