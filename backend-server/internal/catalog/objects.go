package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

const (
	indexFile = "index.json.gz"
	marksDir  = "marks"
	// version is that of both formats. A reader refuses others.
	version = 1
	// maxIndex bounds an index when it is decompressed: 100,000 blocks take
	// about 200 MB.
	maxIndex = 1 << 30
)

// Index is the meta files of a tenant's blocks at some time.
type Index struct {
	Version int           `json:"version"`
	Written time.Time     `json:"written"`
	Blocks  []*block.Meta `json:"blocks"`
	// Erased are blocks of which deletions have left nothing, and which may be
	// gone.
	Erased []Erased `json:"erased,omitempty"`
	// Cleared says which deletions were found to have no effect on a block.
	Cleared map[ulid.ULID][]string `json:"cleared,omitempty"`
}

// Erased is a block of which nothing was left.
type Erased struct {
	Block ulid.ULID `json:"block"`
	At    time.Time `json:"at"`
}

// Mark says that a block will be removed.
type Mark struct {
	Version int       `json:"version"`
	Block   ulid.ULID `json:"block"`
	// At is when it was marked.
	At time.Time `json:"at"`
	// Gone says that nothing of the block is left to be shown. Otherwise other
	// blocks take its place, and it stays should these turn out to be missing.
	Gone bool `json:"gone,omitempty"`
	// Rules are the deletions that have left nothing of it, with the end of their
	// time in milliseconds. It stays if one of them is not in force any more.
	Rules map[string]int64 `json:"rules,omitempty"`
	// Reason is for people.
	Reason string `json:"reason"`
}

// ReadIndex reads a tenant's index. It is NotFound if there is none, Corrupt if
// it cannot be read.
func ReadIndex(ctx context.Context, bkt objstore.BucketReader, tenantID string) (*Index, error) {
	raw, err := bucket.Read(ctx, bkt, path.Join(tenantID, indexFile))
	if err == nil {
		var idx *Index
		if idx, err = decodeIndex(raw); err == nil {
			return idx, nil
		}
	}
	return nil, fmt.Errorf("index of %s: %w", tenantID, err)
}

func decodeIndex(raw []byte) (*Index, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fault.Mark(fault.Corrupt, err)
	}
	var list struct {
		Version int               `json:"version"`
		Written time.Time         `json:"written"`
		Blocks  []json.RawMessage `json:"blocks"`
		Erased  []Erased          `json:"erased"`

		Cleared map[ulid.ULID][]string `json:"cleared"`
	}
	limited := &io.LimitedReader{R: z, N: maxIndex}
	if err := json.NewDecoder(limited).Decode(&list); err != nil {
		if limited.N == 0 {
			return nil, fault.New(fault.Corrupt, "larger than %d bytes", maxIndex)
		}
		return nil, fault.Mark(fault.Corrupt, err)
	}
	if list.Version != version {
		return nil, fault.New(fault.Corrupt, "version %d; this program reads %d", list.Version, version)
	}
	idx := &Index{Version: list.Version, Written: list.Written, Erased: list.Erased, Cleared: list.Cleared}
	for _, b := range list.Blocks {
		m, err := block.ReadMeta(b)
		if err != nil {
			return nil, err
		}
		idx.Blocks = append(idx.Blocks, m)
	}
	return idx, nil
}

// WriteIndex writes a tenant's index.
func WriteIndex(ctx context.Context, bkt objstore.Bucket, tenantID string, idx Index) error {
	idx.Version = version
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	err := json.NewEncoder(z).Encode(idx)
	if err = errors.Join(err, z.Close()); err == nil {
		err = bkt.Upload(ctx, path.Join(tenantID, indexFile), &out)
	}
	if err != nil {
		return fmt.Errorf("index of %s: %w", tenantID, err)
	}
	return nil
}

func markName(tenantID string, id ulid.ULID) string {
	return path.Join(tenantID, marksDir, id.String()+".json")
}

// WriteMark marks a block (K3).
func WriteMark(ctx context.Context, bkt objstore.Bucket, tenantID string, m Mark) error {
	m.Version = version
	b, err := json.Marshal(m)
	if err == nil {
		err = bkt.Upload(ctx, markName(tenantID, m.Block), bytes.NewReader(b))
	}
	if err != nil {
		return fmt.Errorf("mark of block %s: %w", m.Block, err)
	}
	return nil
}

// RemoveMark removes the mark of a block, which need not have one.
func RemoveMark(ctx context.Context, bkt objstore.Bucket, tenantID string, id ulid.ULID) error {
	if err := bucket.Remove(ctx, bkt, markName(tenantID, id)); err != nil {
		return fmt.Errorf("mark of block %s: %w", id, err)
	}
	return nil
}

// Marked lists the blocks that are marked.
func Marked(ctx context.Context, bkt objstore.BucketReader, tenantID string) ([]ulid.ULID, error) {
	var out []ulid.ULID
	err := bkt.Iter(ctx, path.Join(tenantID, marksDir)+objstore.DirDelim, func(name string) error {
		if id, err := ulid.ParseStrict(strings.TrimSuffix(path.Base(name), ".json")); err == nil {
			out = append(out, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list marks of %s: %w", tenantID, err)
	}
	return out, nil
}

// ReadMark reads the mark of a block. One that cannot be read is as good as
// none, and Corrupt: it is to be written anew.
func ReadMark(ctx context.Context, bkt objstore.BucketReader, tenantID string, id ulid.ULID) (Mark, error) {
	raw, err := bucket.Read(ctx, bkt, markName(tenantID, id))
	if err == nil {
		var m Mark
		if m, err = decodeMark(raw, id); err == nil {
			return m, nil
		}
	}
	return Mark{}, fmt.Errorf("mark of block %s: %w", id, err)
}

func decodeMark(raw []byte, id ulid.ULID) (Mark, error) {
	var m Mark
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fault.Mark(fault.Corrupt, err)
	}
	if m.Version != version || m.Block != id || m.At.IsZero() {
		return m, fault.New(fault.Corrupt, "version %d, of block %s, made at %s", m.Version, m.Block, m.At)
	}
	return m, nil
}
