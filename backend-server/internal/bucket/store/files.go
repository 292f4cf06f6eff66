package store

import (
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Files is the store that keeps objects as files in a folder.
type Files struct{ Dir string }

// RegisterFlags implements Provider.
func (c *Files) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Dir, "storage.filesystem.dir", "", "Folder of the filesystem backend; empty means the folder bucket in -db.data-path.")
}

// Validate implements Provider.
func (c *Files) Validate() []error { return nil }

// Open implements Provider.
func (c *Files) Open(context.Context, *Transport) (objstore.Bucket, error) { return newFiles(c.Dir) }

// Explain implements Provider.
func (c *Files) Explain(err error) Meaning {
	if errors.Is(err, fs.ErrPermission) {
		return Meaning{Cause: Denied}
	}
	return Meaning{}
}

// Flags implements Provider.
func (c *Files) Flags(Cause) string { return "-storage.filesystem.dir" }

// files is objstore's filesystem bucket with uploads that are atomic and
// durable, as those of real object stores are.
type files struct {
	*filesystem.Bucket
	dir string
}

func newFiles(dir string) (*files, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b, err := filesystem.NewBucket(abs)
	if err != nil {
		return nil, err
	}
	return &files{Bucket: b, dir: abs}, nil
}

// Upload implements objstore.Bucket: the object appears whole, synced to disk,
// or not at all. What a crash leaves is one hidden file beside the object,
// which the next try overwrites.
func (b *files) Upload(ctx context.Context, name string, r io.Reader, _ ...objstore.ObjectUploadOption) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target := filepath.Join(b.dir, filepath.FromSlash(name))
	parent := filepath.Dir(target)
	if err := vfs.MakeDir(vfs.OS{}, parent); err != nil {
		return err
	}
	partial := filepath.Join(parent, "."+filepath.Base(target)+".partial")
	if err := writeSynced(partial, r); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	if err := os.Rename(partial, target); err != nil {
		return err
	}
	return vfs.OS{}.SyncDir(parent)
}

func writeSynced(name string, r io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
