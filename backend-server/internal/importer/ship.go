package importer

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
)

// ship brings the block in dir to the bucket. It may be repeated.
func ship(ctx context.Context, bkt objstore.Bucket, tenant, dir string, meta *block.Meta) error {
	raw, err := os.ReadFile(filepath.Join(dir, block.MetaFile))
	if err != nil {
		return fmt.Errorf("block %s: %w", meta.ID, err)
	}
	b := bucket.Block{
		Tenant: tenant, ID: meta.ID, Meta: raw,
		Open: func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) },
	}
	for _, f := range meta.Files {
		b.Files = append(b.Files, bucket.File(f))
	}
	return bucket.Upload(ctx, bkt, b)
}
