package compactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/merge"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// job makes new blocks of some blocks.
type job struct {
	c      *Compactor
	tenant string
	inputs []*block.Meta
	rules  Rules

	id  ulid.ULID
	dir string

	open    []*block.Block
	outputs []*block.Meta
	union   *replica.Union
}

// damaged is a block that cannot be read.
type damaged struct {
	block ulid.ULID
	err   error
}

func (d *damaged) Error() string { return d.err.Error() }

// Unwrap returns why.
func (d *damaged) Unwrap() error { return d.err }

// unreadable returns err, as damaged if it is the block's: another try right away
// would end the same, and others would wait for it (O5).
func unreadable(id ulid.ULID, err error) error {
	if fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) {
		return &damaged{id, err}
	}
	return err
}

// run does the job. What it has made is in the bucket then, and known to
// store-gateways as far as these could be told. There may be no outputs: nothing
// is left of the inputs.
func (j *job) run(ctx context.Context) (err error) {
	j.id = ulid.Make()
	j.dir = filepath.Join(j.c.dir, j.id.String())
	defer func() {
		for _, b := range j.open {
			err = errors.Join(err, b.Close())
		}
		err = errors.Join(err, os.RemoveAll(j.dir))
	}()
	if err := j.download(ctx); err != nil {
		return err
	}
	if err := j.choose(ctx); err != nil {
		return fmt.Errorf("choose profiles: %w", err)
	}
	if err := j.write(ctx); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := j.verify(ctx); err != nil {
		return err
	}
	return j.upload(ctx)
}

// download copies the inputs to the local disk, and looks at their checksums.
func (j *job) download(ctx context.Context) error {
	for _, m := range j.inputs {
		dir := filepath.Join(j.dir, "in", m.ID.String())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for _, f := range m.Files {
			if err := j.downloadFile(ctx, dir, m.ID, bucket.File(f)); err != nil {
				return unreadable(m.ID, err)
			}
		}
		raw, err := m.Marshal()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, block.MetaFile), raw, 0o644); err != nil {
			return err
		}
		b, err := block.OpenDir(dir)
		if err != nil {
			return unreadable(m.ID, err)
		}
		j.open = append(j.open, b)
		j.c.metrics.read.Add(float64(m.Size()))
	}
	return nil
}

func (j *job) downloadFile(ctx context.Context, dir string, id ulid.ULID, f bucket.File) error {
	w, err := os.Create(filepath.Join(dir, f.Name))
	if err != nil {
		return err
	}
	return errors.Join(bucket.Download(ctx, j.c.deps.Bucket, j.tenant, id, f, w), w.Close())
}

// choose leaves out what is deleted, and all but one copy of each profile.
func (j *job) choose(ctx context.Context) (err error) {
	units := make([]query.Queryable, len(j.open))
	for i, b := range j.open {
		units[i] = b
	}
	j.union, err = j.c.digester.Unite(ctx, j.rules.all().Over(units))
	return err
}

// write makes the outputs on the local disk.
func (j *job) write(ctx context.Context) error {
	shards := j.shards()
	in, err := merge.New(ctx, query.Origin{Source: j.id}, j.union.Units)
	if err != nil {
		return err
	}
	in.Forget(func() {
		for _, b := range j.open {
			b.Forget()
		}
	})
	for i := range shards {
		m, err := block.WriteWith(ctx, vfs.OS{}, j.outDir(len(j.outputs)), ulid.Make(), in.Shard(i, shards), in.TimeRange(), block.Options{Compression: j.c.cfg.Compression})
		if err != nil {
			return err
		}
		if m != nil { // some rows
			j.outputs = append(j.outputs, m)
		}
	}
	for i, m := range j.outputs {
		m.Compaction = &block.Compaction{Job: j.id, Inputs: catalog.Inputs(j.inputs), Level: level(j.inputs) + 1, Shard: i, Shards: len(j.outputs), Applied: j.rules.applied(m.TimeRange())}
		raw, err := m.Marshal()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(j.outDir(i), block.MetaFile), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) outDir(i int) string { return filepath.Join(j.dir, "out", strconv.Itoa(i)) }

// shards returns how many blocks to make, by what the profiles chosen took in
// the inputs.
func (j *job) shards() int {
	size := 0.0
	for _, m := range j.inputs {
		size += float64(m.Size())
	}
	if j.union.Shown > 0 {
		size *= float64(j.union.Chosen) / float64(j.union.Shown)
	}
	return max(1, int(math.Ceil(size/float64(j.c.cfg.MaxBlockBytes))))
}

func level(blocks []*block.Meta) (n int) {
	for _, m := range blocks {
		if m.Compaction != nil {
			n = max(n, m.Compaction.Level)
		}
	}
	return n
}

// verify reads what was written and compares it with what was chosen.
func (j *job) verify(ctx context.Context) error {
	units := make([]query.Queryable, len(j.outputs))
	for i := range j.outputs {
		b, err := block.OpenDir(j.outDir(i))
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		j.open = append(j.open, b)
		units[i] = b
	}
	written, err := j.c.digester.Unite(ctx, units)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if written.Version != j.union.Version {
		return fault.New(fault.Corrupt, "blocks made of %d others do not hold the profiles that these do", len(j.inputs))
	}
	return nil
}

// upload brings the outputs to the bucket and tells store-gateways of them.
func (j *job) upload(ctx context.Context) error {
	for i, m := range j.outputs {
		raw, err := m.Marshal()
		if err != nil {
			return err
		}
		b := bucket.Block{Tenant: j.tenant, ID: m.ID, Meta: raw, Open: func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(j.outDir(i), name)) }}
		for _, f := range m.Files {
			b.Files = append(b.Files, bucket.File(f))
		}
		if err := bucket.Upload(ctx, j.c.deps.Bucket, b); err != nil {
			return err
		}
		j.c.metrics.written.Add(float64(m.Size()))
	}
	for _, m := range j.outputs {
		j.c.deps.Shipped(ctx, j.tenant, m.ID)
	}
	return nil
}
