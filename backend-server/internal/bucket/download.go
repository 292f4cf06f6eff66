package bucket

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// Download copies a file of a block to w. It is Corrupt if it is not what its
// meta file states, NotFound if it is not there.
func Download(ctx context.Context, bkt objstore.BucketReader, tenantID string, id ulid.ULID, f File, w io.Writer) error {
	r, err := bkt.Get(ctx, object(tenantID, id, f.Name))
	if err != nil {
		return fmt.Errorf("download block %s: %s: %w", id, f.Name, mark(bkt, err))
	}
	_, err = io.Copy(w, &checkedReader{r: r, want: f, sum: crc32.New(castagnoli)})
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("download block %s: %s: %w", id, f.Name, err)
	}
	return nil
}
