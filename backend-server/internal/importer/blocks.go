package importer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer/pyroblock"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// BlockOptions say which foreign blocks are imported, and how.
type BlockOptions struct {
	Tenant        string // empty: all
	MaxStackDepth int
	// Again imports blocks that were imported before, too.
	Again   bool
	TempDir string // empty: that of the operating system
	Bar     *progress.Bar
	// Log is told of what becomes of each block.
	Log func(format string, args ...any)
}

// BlockResult is what became of foreign blocks.
type BlockResult struct {
	Found, Imported, Before, Marked, Incomplete, Bad int

	Profiles int64 // of one sample type each
	Blocks   int   // that were made
	From, To int64 // bytes of the foreign blocks that were imported, and of those made
}

// Done is the object in the bucket that notes that a foreign block was imported
// (I4): <tenant>/imported/<ULID>.json.
type Done struct {
	Version  int         `json:"version"`
	Block    ulid.ULID   `json:"block"`
	At       time.Time   `json:"at"`
	Profiles int64       `json:"profiles"`
	Blocks   []ulid.ULID `json:"blocks"`
}

const doneVersion = 1

func doneName(tenantID string, id ulid.ULID) string {
	return path.Join(tenantID, "imported", id.String()+".json")
}

// Blocks imports foreign blocks of one bucket, or folder, into another. The error
// is one that ends the import; blocks that are bad are counted.
func Blocks(ctx context.Context, from objstore.BucketReader, to objstore.Bucket, o BlockOptions) (res BlockResult, err error) {
	found, err := listForeign(ctx, from, o.Tenant)
	if err != nil {
		return res, err
	}
	i := &blockImport{o: o, from: from, to: to, res: &res}
	res.Found = len(found)
	wanted, err := i.choose(ctx, found)
	if err != nil {
		return res, err
	}
	total := int64(0)
	for _, f := range wanted {
		total += f.size
	}
	o.Bar.Begin("importing blocks", total, progress.Bytes)
	defer o.Bar.End()
	for n := range wanted {
		f := &wanted[n]
		if err := i.block(ctx, f); err != nil {
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			i.bad(f, err)
		}
		o.Bar.Add(f.size)
	}
	return res, nil
}

// blockImport is one import of blocks.
type blockImport struct {
	o    BlockOptions
	from objstore.BucketReader
	to   objstore.Bucket
	res  *BlockResult
}

func (i *blockImport) bad(f *foreignBlock, err error) {
	i.res.Bad++
	i.o.Log("block %s/%s: %v", f.tenant, f.id, err)
}

// choose reads the meta files and returns the blocks that are to be imported.
func (i *blockImport) choose(ctx context.Context, found []foreignBlock) ([]foreignBlock, error) {
	i.o.Bar.Begin("reading meta files", int64(len(found)), progress.Count)
	defer i.o.Bar.End()
	var out []foreignBlock
	for _, f := range found {
		i.o.Bar.Add(1)
		done, err := i.to.Exists(ctx, doneName(f.tenant, f.id))
		if err != nil {
			return nil, fmt.Errorf("what was imported: %w", err)
		}
		if done && !i.o.Again {
			i.res.Before++
			continue
		}
		marked, err := i.from.Exists(ctx, path.Join(f.dir, deletionMark))
		if err != nil {
			return nil, fmt.Errorf("block %s/%s: %w", f.tenant, f.id, err)
		}
		if marked {
			i.res.Marked++
			continue
		}
		switch err := f.readMeta(ctx, i.from); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case fault.Is(err, fault.NotFound):
			i.res.Incomplete++
		case err != nil:
			i.bad(&f, err)
		default:
			out = append(out, f)
		}
	}
	return out, nil
}

// block imports one block.
func (i *blockImport) block(ctx context.Context, f *foreignBlock) (err error) {
	dir, err := os.MkdirTemp(i.o.TempDir, "hearth-import-")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	foreign := filepath.Join(dir, "foreign")
	if err := f.download(ctx, i.from, foreign); err != nil {
		return err
	}
	s, err := newSpool(filepath.Join(dir, "spool"), query.Origin{ID: f.id, Source: ulid.Make()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	c, err := i.convert(ctx, foreign, s)
	if err != nil {
		return err
	}
	made, err := write(ctx, f, s, filepath.Join(dir, "blocks"))
	if err != nil {
		return err
	}
	if err := check(ctx, filepath.Join(dir, "blocks"), made, s, c.tallies); err != nil {
		return err
	}
	return i.finish(ctx, f, c, filepath.Join(dir, "blocks"), made)
}

// convert reads a block into a spool.
func (i *blockImport) convert(ctx context.Context, dir string, s *spool) (c *converter, err error) {
	b, err := pyroblock.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	c = newConverter(b, s, i.o.MaxStackDepth)
	rows := int64(0)
	err = b.Profiles(func(p *pyroblock.Profile) error {
		if rows++; rows%rowsPerCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return c.add(p)
	})
	if err != nil {
		return nil, err
	}
	if n := b.Meta.Stats.Profiles; n > 0 && uint64(rows) != n {
		return nil, fault.New(fault.Corrupt, "%s has %d profiles; %s states %d", pyroblock.ProfilesFile, rows, pyroblock.MetaFile, n)
	}
	return c, s.finish()
}

// hour is how long a block may be, in milliseconds.
const hour = profile.UnixMilli(60 * 60 * 1000)

// write makes blocks of a spool, one for each hour.
func write(ctx context.Context, f *foreignBlock, s *spool, dir string) ([]*block.Meta, error) {
	var out []*block.Meta
	hours := map[profile.UnixMilli]bool{}
	for _, rows := range s.rows {
		for _, r := range rows {
			hours[r.time-((r.time%hour)+hour)%hour] = true
		}
	}
	for _, start := range slices.Sorted(maps.Keys(hours)) {
		id := blockID(f, start)
		meta, err := block.WriteWith(ctx, vfs.OS{}, filepath.Join(dir, id.String()), id, s, profile.TimeRange{Start: start, End: start + hour - 1}, block.Options{})
		if err != nil {
			return nil, err
		}
		if meta != nil {
			out = append(out, meta)
		}
	}
	return out, nil
}

// blockID is the ID of the block that is made of an hour of a foreign one. It is
// the same whenever that is done.
func blockID(f *foreignBlock, start profile.UnixMilli) ulid.ULID {
	sum := sha256.Sum256(fmt.Appendf(nil, "imported\xff%s\xff%s\xff%d", f.tenant, f.id, start))
	id := ulid.ULID(f.id)
	copy(id[6:], sum[:]) // behind the time
	return id
}

// finish ships the blocks and notes that this is done.
func (i *blockImport) finish(ctx context.Context, f *foreignBlock, c *converter, dir string, made []*block.Meta) error {
	done := Done{Version: doneVersion, Block: f.id, At: time.Now().UTC(), Blocks: []ulid.ULID{}}
	size := int64(0)
	for _, meta := range made {
		if err := ship(ctx, i.to, f.tenant, filepath.Join(dir, meta.ID.String()), meta); err != nil {
			return err
		}
		done.Blocks = append(done.Blocks, meta.ID)
		size += meta.Size()
	}
	for _, t := range c.tallies {
		done.Profiles += t.profiles
	}
	raw, err := json.Marshal(done)
	if err == nil {
		err = i.to.Upload(ctx, doneName(f.tenant, f.id), bytes.NewReader(raw))
	}
	if err != nil {
		return fmt.Errorf("note that the block was imported: %w", err)
	}
	i.res.Imported++
	i.res.Profiles += done.Profiles
	i.res.Blocks += len(made)
	i.res.From, i.res.To = i.res.From+f.size, i.res.To+size
	if c.odd > 0 {
		i.o.Log("block %s/%s: the values of %d profiles do not come to what is stated; they were imported as they are", f.tenant, f.id, c.odd)
	}
	if c.empty+c.negative > 0 {
		i.o.Log("block %s/%s: left out were %d profiles without samples and %d samples with negative values", f.tenant, f.id, c.empty, c.negative)
	}
	return nil
}
