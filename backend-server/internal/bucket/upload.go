package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// File is one file of a block: what the meta file states about it.
type File struct {
	Name string
	Size int64
	CRC  uint32 // CRC-32C
}

// Block is a block on its way to the bucket.
type Block struct {
	Tenant string
	ID     ulid.ULID
	Meta   []byte // content of the meta file
	Files  []File // all others
	// Open opens one of Files.
	Open func(name string) (io.ReadCloser, error)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Upload brings a block into the bucket, or what is missing of it. It may be
// called any number of times; when it returns nil, the block is there (B1–B3).
func Upload(ctx context.Context, bkt objstore.Bucket, b Block) error {
	for _, f := range b.Files {
		if err := uploadFile(ctx, bkt, b, f); err != nil {
			return fmt.Errorf("upload block %s: %s: %w", b.ID, f.Name, err)
		}
	}
	name := object(b.Tenant, b.ID, metaFile)
	if have, err := Read(ctx, bkt, name); err == nil && bytes.Equal(have, b.Meta) {
		return nil
	}
	if err := bkt.Upload(ctx, name, bytes.NewReader(b.Meta)); err != nil {
		return fmt.Errorf("upload block %s: meta file: %w", b.ID, err)
	}
	return nil
}

func uploadFile(ctx context.Context, bkt objstore.Bucket, b Block, f File) error {
	name := object(b.Tenant, b.ID, f.Name)
	switch there, err := complete(ctx, bkt, name, f); {
	case err != nil:
		return err
	case there:
		return nil
	}
	src, err := b.Open(f.Name)
	if err != nil {
		return err
	}
	defer src.Close()
	checked := &checkedReader{r: src, want: f, sum: crc32.New(castagnoli)}
	if err := bkt.Upload(ctx, name, checked); err != nil {
		return err
	}
	if !checked.done {
		return fault.New(fault.Corrupt, "the store took %d of %d bytes", checked.n, f.Size)
	}
	attrs, err := written(ctx, bkt, name)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if attrs.Size != f.Size {
		return fault.New(fault.Corrupt, "the store holds %d of %d bytes", attrs.Size, f.Size)
	}
	return nil
}

// Some stores take a moment to show what was written.
const (
	lookAgain = 20 * time.Millisecond // doubled each time
	looks     = 8                     // five seconds altogether
)

// written returns the attributes of an object that has just been uploaded.
func written(ctx context.Context, bkt objstore.Bucket, name string) (objstore.ObjectAttributes, error) {
	for pause, n := lookAgain, 1; ; pause, n = 2*pause, n+1 {
		attrs, err := bkt.Attributes(ctx, name)
		if err == nil || !bkt.IsObjNotFoundErr(err) || n == looks {
			return attrs, err
		}
		select {
		case <-ctx.Done():
			return attrs, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// relyFor is how old an object may be that an upload relies on. What is left of
// an upload that nobody goes on with is removed some time later (package
// compactor), and must not be while somebody does.
const relyFor = 12 * time.Hour

// complete reports whether the object is there with f's size and checksum.
func complete(ctx context.Context, bkt objstore.Bucket, name string, f File) (bool, error) {
	attrs, err := bkt.Attributes(ctx, name)
	switch {
	case err != nil && bkt.IsObjNotFoundErr(err):
		return false, nil
	case err != nil:
		return false, err
	case attrs.Size != f.Size || time.Since(attrs.LastModified) > relyFor:
		return false, nil
	}
	r, err := bkt.Get(ctx, name)
	if err != nil {
		return false, err
	}
	defer r.Close()
	checked := &checkedReader{r: r, want: f, sum: crc32.New(castagnoli)}
	if _, err := io.Copy(io.Discard, checked); err != nil && !fault.Is(err, fault.Corrupt) {
		return false, err
	}
	return checked.done, nil
}

// checkedReader reads a file and fails at its end if it is not what it should
// be.
type checkedReader struct {
	r    io.Reader
	want File
	sum  hash.Hash32
	n    int64
	done bool // all of it read, and found good
}

// ObjectSize tells objstore how long the object is going to be.
func (c *checkedReader) ObjectSize() (int64, error) { return c.want.Size, nil }

// Read implements io.Reader.
func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	ended := errors.Is(err, io.EOF)
	if c.n < c.want.Size && !ended {
		return n, err
	}
	if c.n != c.want.Size || c.sum.Sum32() != c.want.CRC {
		return n, fault.New(fault.Corrupt, "%d bytes with checksum %08x; the block states %d bytes with %08x", c.n, c.sum.Sum32(), c.want.Size, c.want.CRC)
	}
	c.done = true
	return n, err
}
