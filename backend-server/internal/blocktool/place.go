package blocktool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Place is where blocks lie.
type Place interface {
	// Tenants lists the tenants there.
	Tenants(ctx context.Context) ([]string, error)
	// Blocks lists a tenant's blocks, those that are not whole included.
	Blocks(ctx context.Context, tenant string) ([]ulid.ULID, error)
	// Meta reads a meta file. Where there is none the error is NotFound.
	Meta(ctx context.Context, tenant string, id ulid.ULID) ([]byte, error)
	// Source reads the other files of a block. close must be called.
	Source(tenant string, id ulid.ULID) (src block.Source, close func() error, err error)
}

// Bucket is an object store.
type Bucket struct{ objstore.BucketReader }

// Tenants implements Place.
func (b Bucket) Tenants(ctx context.Context) ([]string, error) {
	return bucket.Tenants(ctx, b.BucketReader)
}

// Blocks implements Place.
func (b Bucket) Blocks(ctx context.Context, tenant string) ([]ulid.ULID, error) {
	return bucket.Blocks(ctx, b.BucketReader, tenant)
}

// Meta implements Place.
func (b Bucket) Meta(ctx context.Context, tenant string, id ulid.ULID) ([]byte, error) {
	return bucket.Meta(ctx, b.BucketReader, tenant, id)
}

// Source implements Place.
func (b Bucket) Source(tenant string, id ulid.ULID) (block.Source, func() error, error) {
	return bucket.NewSource(b.BucketReader, tenant, id), func() error { return nil }, nil
}

// Dir is a folder of blocks, such as tenants/<tenant>/local in a data folder.
// Its blocks are those of a tenant without a name.
type Dir string

// Tenants implements Place.
func (d Dir) Tenants(context.Context) ([]string, error) { return []string{""}, nil }

// Blocks implements Place.
func (d Dir) Blocks(context.Context, string) ([]ulid.ULID, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("folder of blocks: %w", err)
	}
	var out []ulid.ULID
	for _, e := range entries {
		if id, err := ulid.ParseStrict(e.Name()); err == nil && e.IsDir() {
			out = append(out, id)
		}
	}
	return out, nil
}

// Meta implements Place.
func (d Dir) Meta(_ context.Context, _ string, id ulid.ULID) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(string(d), id.String(), block.MetaFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.Mark(fault.NotFound, err)
	}
	return raw, err
}

// Source implements Place.
func (d Dir) Source(_ string, id ulid.ULID) (block.Source, func() error, error) {
	f, err := os.Open(filepath.Join(string(d), id.String(), block.DataFile))
	if err != nil {
		return nil, nil, err
	}
	return block.FileSource{ReaderAt: f}, f.Close, nil
}

// Named is a block of a tenant.
type Named struct {
	Tenant string
	ID     ulid.ULID
}

// String names the block for people.
func (n Named) String() string {
	if n.Tenant == "" {
		return n.ID.String()
	}
	return n.Tenant + "/" + n.ID.String()
}

// Find lists blocks: those of a tenant or, if it is empty, of all, and of these
// those with the given IDs, or all if there are none. An ID that is nowhere is
// NotFound.
func Find(ctx context.Context, p Place, tenant string, ids []ulid.ULID) ([]Named, error) {
	tenants := []string{tenant}
	if tenant == "" {
		var err error
		if tenants, err = p.Tenants(ctx); err != nil {
			return nil, err
		}
	}
	missing := map[ulid.ULID]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	var out []Named
	for _, t := range tenants {
		blocks, err := p.Blocks(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, id := range blocks {
			if _, wanted := missing[id]; len(ids) == 0 || wanted {
				out = append(out, Named{t, id})
				missing[id] = false
			}
		}
	}
	for _, id := range ids {
		if missing[id] {
			return nil, fault.New(fault.NotFound, "block %s: there is none", id)
		}
	}
	return out, nil
}
