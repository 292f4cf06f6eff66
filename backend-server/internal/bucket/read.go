package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

// Tenants lists the tenants that have something in the bucket.
func Tenants(ctx context.Context, bkt objstore.BucketReader) ([]string, error) {
	var out []string
	err := bkt.Iter(ctx, "", func(name string) error {
		if id := lastPart(name); name == id+objstore.DirDelim && tenant.Validate(id) == nil {
			out = append(out, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return out, nil
}

// Blocks lists the blocks of a tenant, those without a meta file included.
func Blocks(ctx context.Context, bkt objstore.BucketReader, tenantID string) ([]ulid.ULID, error) {
	var out []ulid.ULID
	err := bkt.Iter(ctx, tenantBlocks(tenantID), func(name string) error {
		if id, err := ulid.ParseStrict(lastPart(name)); err == nil {
			out = append(out, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list blocks of %s: %w", tenantID, err)
	}
	return out, nil
}

// Meta reads the meta file of a block. Where there is none, because the upload
// is not finished, the error is of kind NotFound.
func Meta(ctx context.Context, bkt objstore.BucketReader, tenantID string, id ulid.ULID) ([]byte, error) {
	b, err := Read(ctx, bkt, object(tenantID, id, metaFile))
	if err != nil {
		return nil, fmt.Errorf("meta file of block %s: %w", id, err)
	}
	return b, nil
}

// Read returns the content of an object. One that is not there is NotFound.
func Read(ctx context.Context, bkt objstore.BucketReader, name string) ([]byte, error) {
	r, err := bkt.Get(ctx, name)
	if err != nil {
		return nil, mark(bkt, err)
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// mark gives errors of the store their kind.
func mark(bkt objstore.BucketReader, err error) error {
	if bkt.IsObjNotFoundErr(err) {
		return fault.Mark(fault.NotFound, err)
	}
	return err
}

// Source reads the files of one block by range.
type Source struct {
	bkt    objstore.BucketReader
	tenant string
	id     ulid.ULID
}

// NewSource returns a source for a block of the bucket.
func NewSource(bkt objstore.BucketReader, tenantID string, id ulid.ULID) *Source {
	return &Source{bkt, tenantID, id}
}

// ReadAt fills p with the bytes of the file name from off on. A file that ends
// before p is full is Corrupt, one that is not there NotFound.
func (s *Source) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	if err := readRange(ctx, s.bkt, object(s.tenant, s.id, name), p, off); err != nil {
		return fmt.Errorf("block %s: %s: %w", s.id, name, err)
	}
	return nil
}

// readRange fills p with the bytes of an object from off on.
func readRange(ctx context.Context, bkt objstore.BucketReader, name string, p []byte, off int64) error {
	r, err := bkt.GetRange(ctx, name, off, int64(len(p)))
	if err != nil {
		return beyond(ctx, bkt, name, off, mark(bkt, err))
	}
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fault.New(fault.Corrupt, "ends at byte %d, before %d", off+int64(n), off+int64(len(p)))
	}
	return errors.Join(err, r.Close())
}

// beyond returns err, or what it means if the object has no byte off: stores
// answer that with an error that each words in its own way.
func beyond(ctx context.Context, bkt objstore.BucketReader, name string, off int64, err error) error {
	if fault.Is(err, fault.NotFound) {
		return err
	}
	if attrs, checkErr := bkt.Attributes(ctx, name); checkErr == nil && attrs.Size <= off {
		return fault.New(fault.Corrupt, "ends at byte %d, before %d: %w", attrs.Size, off, err)
	}
	return err
}

// Verify looks whether the bucket has all files of a block, with the sizes that
// its meta file states. What is missing is NotFound, what differs Corrupt.
func Verify(ctx context.Context, bkt objstore.BucketReader, tenantID string, id ulid.ULID, files []File) error {
	if _, err := Meta(ctx, bkt, tenantID, id); err != nil {
		return err
	}
	for _, f := range files {
		attrs, err := bkt.Attributes(ctx, object(tenantID, id, f.Name))
		if err != nil {
			return fmt.Errorf("block %s: %s: %w", id, f.Name, mark(bkt, err))
		}
		if attrs.Size != f.Size {
			return fault.New(fault.Corrupt, "block %s: %s: the bucket has %d of %d bytes", id, f.Name, attrs.Size, f.Size)
		}
	}
	return nil
}
