package deletion

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Objects are named <tenant>/<folder>/<ULID>.json.
const (
	rulesDir  = "deletions"
	eventsDir = "audit"
	suffix    = ".json"
)

func objectName(tenantID, dir string, id ulid.ULID) string {
	return path.Join(tenantID, dir, id.String()+suffix)
}

// atOnce is how many objects are read at a time.
const atOnce = 16

// Put stores a deletion.
func Put(ctx context.Context, bkt objstore.Bucket, tenantID string, r *Rule) error {
	raw, err := MarshalRule(r)
	if err == nil {
		err = bkt.Upload(ctx, objectName(tenantID, rulesDir, r.ID), bytes.NewReader(raw))
	}
	if err != nil {
		return fmt.Errorf("store deletion %s of %s: %w", r.ID, tenantID, err)
	}
	return nil
}

// List returns the deletions that are stored, the oldest first. It fails if one
// cannot be read: without it, what is deleted would be shown.
func List(ctx context.Context, bkt objstore.BucketReader, tenantID string) (Rules, error) {
	ids, err := list(ctx, bkt, tenantID, rulesDir)
	if err != nil {
		return nil, err
	}
	found, err := readEach(ctx, bkt, tenantID, rulesDir, ids, func(id ulid.ULID, raw []byte) (*Rule, error) {
		r, err := UnmarshalRule(raw)
		if err == nil && r.ID != id {
			err = fault.New(fault.Corrupt, "it says that it is %s", r.ID)
		}
		return r, err
	})
	var out Rules
	for _, r := range found {
		out = append(out, *r)
	}
	return out, err
}

// Unreadable reports whether an error says that a deletion is there and cannot be
// understood, rather than that the store does not answer.
func Unreadable(err error) bool {
	return fault.Is(err, fault.Corrupt) || fault.Is(err, fault.Unimplemented)
}

// Read returns a deletion. It is NotFound if there is none of that ID, and
// may be Unreadable.
func Read(ctx context.Context, bkt objstore.BucketReader, tenantID string, id ulid.ULID) (*Rule, error) {
	raw, err := bucket.Read(ctx, bkt, objectName(tenantID, rulesDir, id))
	if err == nil {
		var r *Rule
		if r, err = UnmarshalRule(raw); err == nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("deletion %s of %s: %w", id, tenantID, err)
}

// Remove takes a deletion back. It is NotFound if there is none of that ID.
func Remove(ctx context.Context, bkt objstore.Bucket, tenantID string, id ulid.ULID) error {
	name := objectName(tenantID, rulesDir, id)
	there, err := bkt.Exists(ctx, name)
	switch {
	case err == nil && !there:
		return fault.New(fault.NotFound, "there is no deletion %s", id)
	case err == nil:
		err = bucket.Remove(ctx, bkt, name)
	}
	if err != nil {
		return fmt.Errorf("remove deletion %s of %s: %w", id, tenantID, err)
	}
	return nil
}

// list returns the IDs of the objects of a folder, ascending. Others are none of
// this package's.
func list(ctx context.Context, bkt objstore.BucketReader, tenantID, dir string) ([]ulid.ULID, error) {
	var out []ulid.ULID
	err := bkt.Iter(ctx, path.Join(tenantID, dir)+objstore.DirDelim, func(name string) error {
		text, found := strings.CutSuffix(path.Base(name), suffix)
		if id, err := ulid.ParseStrict(text); err == nil && found {
			out = append(out, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s of %s: %w", dir, tenantID, err)
	}
	slices.SortFunc(out, ulid.ULID.Compare)
	return out, nil
}

// readEach reads objects, some at a time, and returns what read makes of them,
// in their order. Objects that have gone since they were listed are left out.
func readEach[T any](ctx context.Context, bkt objstore.BucketReader, tenantID, dir string, ids []ulid.ULID, read func(ulid.ULID, []byte) (*T, error)) ([]*T, error) {
	found := make([]*T, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, id := range ids {
		g.Go(func() error {
			name := objectName(tenantID, dir, id)
			raw, err := bucket.Read(ctx, bkt, name)
			if fault.Is(err, fault.NotFound) {
				return nil
			}
			if err == nil {
				found[i], err = read(id, raw)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(v *T) bool { return v == nil }), nil
}
