package compactor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/merge"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
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
	// Of the profiles chosen: what stands for them, how many they are, and of
	// how many they were chosen.
	version       [2]uint64
	lineage       []ulid.ULID
	masks         map[replica.Series]uint64
	chosen, shown uint64
}

// damaged is a block that cannot be read.
type damaged struct {
	block ulid.ULID
	err   error
}

func (d *damaged) Error() string { return d.err.Error() }

// Unwrap returns why.
func (d *damaged) Unwrap() error { return d.err }

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
	chosen, err := j.choose(ctx)
	if err != nil {
		return fmt.Errorf("choose profiles: %w", err)
	}
	if err := j.write(ctx, chosen); err != nil {
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
				if fault.Is(err, fault.Corrupt) {
					err = &damaged{m.ID, err}
				}
				return err
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
			return err
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

var always = profile.TimeRange{Start: -1 << 63, End: 1<<63 - 1}

// choose returns the inputs without what is deleted, so that each profile is in
// one of them.
func (j *job) choose(ctx context.Context) ([]query.Queryable, error) {
	units := make([]query.Queryable, len(j.open))
	for i, b := range j.open {
		units[i] = b
	}
	snapshot, err := j.c.digester.Take(ctx, j.rules.all().Over(units), replica.Selection{Range: always})
	if err != nil {
		return nil, err
	}
	choice := replica.NewChoice([][]replica.Unit{snapshot.Units()})
	if refs := choice.Ask(); refs != nil {
		rows, err := snapshot.Rows(ctx, refs[0])
		if err != nil {
			return nil, err
		}
		choice.Tell([][][]replica.Row{rows})
	}
	j.version[0], j.version[1] = choice.Version()
	j.chosen, j.shown = choice.Profiles()
	j.descend(choice.Lineage())
	return snapshot.Pick(choice.Picks()[0])
}

// descend makes masks of the databases that counters are of. Where there are
// more than a mask can hold, the ones met most often are in it.
func (j *job) descend(byCounter map[replica.Series][]ulid.ULID) {
	times := map[ulid.ULID]int{}
	for _, list := range byCounter {
		for _, id := range list {
			times[id]++
		}
	}
	j.lineage = slices.SortedFunc(maps.Keys(times), func(a, b ulid.ULID) int {
		return cmp.Or(cmp.Compare(times[b], times[a]), a.Compare(b))
	})
	j.lineage = j.lineage[:min(len(j.lineage), query.MaxLineage)]
	j.masks = make(map[replica.Series]uint64, len(byCounter))
	for s, list := range byCounter {
		for _, id := range list {
			if i := slices.Index(j.lineage, id); i >= 0 {
				j.masks[s] |= 1 << i
			}
		}
	}
}

func (j *job) mask(ls labels.Labels) uint64 { return j.masks[replica.SeriesOf(ls)] }

// write makes the outputs on the local disk.
func (j *job) write(ctx context.Context, units []query.Queryable) error {
	shards := j.shards()
	in, err := merge.New(ctx, query.Origin{Source: j.id}, units)
	if err != nil {
		return err
	}
	in.Forget(func() {
		for _, b := range j.open {
			b.Forget()
		}
	})
	for i := range shards {
		m, err := block.WriteWith(ctx, vfs.OS{}, j.outDir(len(j.outputs)), ulid.Make(), in.Shard(i, shards), in.TimeRange(), block.Options{Compression: j.c.cfg.Compression, Lineage: j.mask})
		if err != nil {
			return err
		}
		if m != nil { // some rows
			j.outputs = append(j.outputs, m)
		}
	}
	for i, m := range j.outputs {
		m.Compaction = &block.Compaction{Job: j.id, Inputs: inputIDs(j.inputs), Level: level(j.inputs) + 1, Shard: i, Shards: len(j.outputs), Lineage: j.lineage, Applied: j.rules.applied(m.TimeRange())}
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
	if j.shown > 0 {
		size *= float64(j.chosen) / float64(j.shown)
	}
	return max(1, int(math.Ceil(size/float64(j.c.cfg.MaxBlockBytes))))
}

// inputIDs lists blocks and those whose place they took.
func inputIDs(blocks []*block.Meta) []ulid.ULID {
	var out []ulid.ULID
	for _, m := range blocks {
		out = append(out, m.ID)
		if m.Compaction != nil {
			out = append(out, m.Compaction.Inputs...)
		}
	}
	slices.SortFunc(out, ulid.ULID.Compare)
	return slices.Compact(out)
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
	snapshot, err := j.c.digester.Take(ctx, units, replica.Selection{Range: always})
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	choice := replica.NewChoice([][]replica.Unit{snapshot.Units()})
	hi, lo := choice.Version()
	if choice.Ask() != nil || [2]uint64{hi, lo} != j.version {
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
