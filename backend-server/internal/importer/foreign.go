package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer/pyroblock"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

// Folders of a tenant that have blocks: in a bucket, and on the disk of an
// ingester.
var foreignDirs = []string{"phlaredb", "local"}

// deletionMark is what says that a block is going to be removed, since another
// one has what it holds.
const deletionMark = "deletion-mark.json"

// foreignBlock is a block of the other system.
type foreignBlock struct {
	tenant, dir string
	id          ulid.ULID
	meta        *pyroblock.Meta
	raw         []byte // of the meta file
	size        int64  // of the files that are needed
}

// listForeign lists the blocks of a tenant, or of all if it is empty.
func listForeign(ctx context.Context, from objstore.BucketReader, tenantID string) ([]foreignBlock, error) {
	tenants := []string{tenantID}
	if tenantID == "" {
		var err error
		if tenants, err = folders(ctx, from, ""); err != nil {
			return nil, err
		}
	}
	var out []foreignBlock
	for _, t := range tenants {
		if tenant.Validate(t) != nil {
			continue
		}
		for _, sub := range foreignDirs {
			names, err := folders(ctx, from, path.Join(t, sub))
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				if id, err := ulid.ParseStrict(name); err == nil {
					out = append(out, foreignBlock{tenant: t, dir: path.Join(t, sub, name), id: id})
				}
			}
		}
	}
	return out, nil
}

// folders lists the folders in a folder.
func folders(ctx context.Context, from objstore.BucketReader, dir string) ([]string, error) {
	if dir != "" {
		dir += objstore.DirDelim
	}
	var out []string
	err := from.Iter(ctx, dir, func(name string) error {
		if plain, ok := strings.CutSuffix(name, objstore.DirDelim); ok {
			out = append(out, path.Base(plain))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", dir, err)
	}
	return out, nil
}

// readMeta reads the meta file. A block without one is NotFound.
func (f *foreignBlock) readMeta(ctx context.Context, from objstore.BucketReader) (err error) {
	if f.raw, err = bucket.Read(ctx, from, path.Join(f.dir, pyroblock.MetaFile)); err != nil {
		return err
	}
	if f.meta, err = pyroblock.ReadMeta(f.raw); err != nil {
		return err
	}
	if f.meta.ID != f.id {
		return fault.New(fault.Corrupt, "%s is that of block %s", pyroblock.MetaFile, f.meta.ID)
	}
	for _, file := range f.meta.Needed() {
		f.size += file.Size
	}
	return nil
}

// download brings the files that are needed into a folder.
func (f *foreignBlock) download(ctx context.Context, from objstore.BucketReader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, pyroblock.MetaFile), f.raw, 0o644); err != nil {
		return err
	}
	for _, file := range f.meta.Needed() {
		if err := downloadFile(ctx, from, path.Join(f.dir, file.Path), filepath.Join(dir, filepath.FromSlash(file.Path)), file.Size); err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
	}
	return nil
}

func downloadFile(ctx context.Context, from objstore.BucketReader, object, name string, size int64) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	r, err := from.Get(ctx, object)
	if err != nil {
		if from.IsObjNotFoundErr(err) {
			return fault.Mark(fault.Corrupt, err)
		}
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	w, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	n, err := io.Copy(w, r)
	if err == nil && n != size && size > 0 {
		err = fault.New(fault.Corrupt, "has %d bytes; %s states %d", n, pyroblock.MetaFile, size)
	}
	return err
}
