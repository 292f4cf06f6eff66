package block

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Input is what a block is made of: a Queryable that no longer changes, and
// the services of its partitions.
type Input interface {
	query.Queryable
	Partitions() []string
}

// Options say how a block is written. Zero values stand for the defaults.
type Options struct {
	// Compression of the columns. Default: zstd.
	Compression table.Compression
}

// Write makes a block of the rows of in within r, in the directory dir, which
// it makes. MetaFile is written last and everything is synced, so a crash at
// any moment leaves a whole block or no block. It returns nil, and leaves no
// directory, if there are no rows.
func Write(ctx context.Context, fsys vfs.FS, dir string, id ulid.ULID, in Input, r profile.TimeRange) (*Meta, error) {
	return WriteWith(ctx, fsys, dir, id, in, r, Options{})
}

// WriteWith is Write with options.
func WriteWith(ctx context.Context, fsys vfs.FS, dir string, id ulid.ULID, in Input, r profile.TimeRange, o Options) (*Meta, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("block directory: %w", err)
	}
	meta, err := write(ctx, fsys, dir, id, in, r, o)
	if err != nil || meta == nil {
		if rmErr := fsys.RemoveAll(dir); err == nil {
			err = rmErr
		}
		return nil, err
	}
	return meta, nil
}

func write(ctx context.Context, fsys vfs.FS, dir string, id ulid.ULID, in Input, r profile.TimeRange, o Options) (*Meta, error) {
	f, err := fsys.Create(filepath.Join(dir, DataFile))
	if err != nil {
		return nil, fmt.Errorf("block data: %w", err)
	}
	meta := &Meta{Version: Version, ID: id, Parent: in.Origin().ID, Source: in.Origin().Source, MinTime: r.End, MaxTime: r.Start}
	if meta.Parent == id {
		meta.Parent = ulid.ULID{}
	}
	w := newWriter(in, r, newDataWriter(f), meta, o)
	err = w.run(ctx)
	if err == nil {
		err = w.data.w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("block data: %w", err)
	}
	if meta.Stats.Rows == 0 {
		return nil, nil
	}
	meta.Services = w.services()
	meta.Sections = w.data.sections
	meta.Files = []File{{Name: DataFile, Size: w.data.size, CRC: w.data.crc}}
	b, err := meta.Marshal()
	if err != nil {
		return nil, fmt.Errorf("block meta: %w", err)
	}
	if err := vfs.WriteFileAtomic(fsys, filepath.Join(dir, MetaFile), b); err != nil {
		return nil, fmt.Errorf("block meta: %w", err)
	}
	return meta, nil
}

// writer makes one block, partition by partition. Columns go to the file when a
// row group is full; what is kept to the end is small.
type writer struct {
	in   Input
	r    profile.TimeRange
	data *dataWriter
	meta *Meta
	opts Options

	scratch table.Scratch
	tables  map[string]*table.Writer
	order   []*table.Writer // as their footers come
	rows    *rowWriter
	sums    *rowWriter
	bundle  *bundle
	collect collector
	sorter  rankSorter
	held    portion

	partitions []partitionCounts
	groups     []groupCounts
	rowSeries  []rowSeriesCounts
	series     []indexedSeries
	digests    []query.RowsDigest
	since      []uint32 // of the rows of running totals since the last flush

	peak int // memory of its own, at most
}

// partitionCounts are how many rows of each table are a partition's.
type partitionCounts struct {
	service           string
	rowSeries, groups int
	symbols           [symTables]int
	spans             int
}

type groupCounts struct {
	step profile.UnixMilli
	sums int
}

type rowSeriesCounts struct {
	group   uint32
	rows    int
	counter bool // running totals
}

// indexedSeries is a series for the index.
type indexedSeries struct {
	labels    labels.Labels
	rowSeries uint32
	scaled    bool
}

func newWriter(in Input, r profile.TimeRange, data *dataWriter, meta *Meta, o Options) *writer {
	w := &writer{in: in, r: r, data: data, meta: meta, opts: o, tables: map[string]*table.Writer{}}
	w.rows = newRowWriter(w.table(schemaRows), o.Compression, &w.scratch)
	w.sums = newRowWriter(w.table(schemaSums), o.Compression, &w.scratch)
	w.bundle = newBundle(o.Compression, &w.scratch)
	return w
}

func (w *writer) table(s table.Schema) *table.Writer {
	t := w.tables[s.Name]
	if t == nil {
		t = table.NewWriter(w.data, s, w.opts.Compression, &w.scratch)
		w.tables[s.Name] = t
		w.order = append(w.order, t)
	}
	return t
}

func (w *writer) run(ctx context.Context) error {
	w.data.begin(sectionColumns)
	if _, err := w.data.Write([]byte(table.Magic)); err != nil {
		return err
	}
	sources, err := w.sources(ctx)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if err := w.partition(ctx, s); err != nil {
			return fmt.Errorf("partition %q: %w", s.service, err)
		}
	}
	if w.meta.Stats.Rows == 0 {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.tail()
}

// flush writes what has been collected of rows and symbols. Since all of it is
// of some partitions whole, what a query of one of them needs lies together.
func (w *writer) flush() error {
	w.account()
	if err := w.rows.flush(); err != nil {
		return fmt.Errorf("rows: %w", err)
	}
	if err := w.sums.flush(); err != nil {
		return fmt.Errorf("sums: %w", err)
	}
	if err := w.flushSince(); err != nil {
		return fmt.Errorf("%s: %w", sectionSince, err)
	}
	return w.bundle.flush(w.table)
}

// account notes how much memory the writer has taken.
func (w *writer) account() {
	w.peak = max(w.peak, w.rows.size()+w.sums.size()+w.bundle.size()+w.collect.size()+w.sorter.size()+w.held.size()+4*cap(w.since))
}

// partition writes the rows and sums of a partition and keeps its symbols for
// the bundle.
func (w *writer) partition(ctx context.Context, s *source) error {
	symbols, err := w.in.Symbols(ctx, s.index)
	if err != nil {
		return fmt.Errorf("symbols: %w", err)
	}
	if err := w.collect.run(ctx, w.in, s, w.r, len(symbols.Stacks)); err != nil || !w.collect.found {
		return err
	}
	ranked, ranks := rerank(symbols, w.collect.counts)
	if alone(ranked) && len(w.bundle.shared) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	p := partitionCounts{service: s.service}
	firstGroup := uint32(len(w.groups))
	for _, g := range s.groups {
		if err := w.groupSums(g, ranks, len(ranked.Stacks)); err != nil {
			return fmt.Errorf("sums: %w", err)
		}
	}
	p.groups = len(s.groups)
	w.rows.partition(len(ranked.Stacks))
	for _, rows := range s.rows {
		wrote, err := w.writeSeries(ctx, s, rows, ranks, firstGroup+uint32(rows.group), &p)
		if err != nil {
			return fmt.Errorf("rows: %w", err)
		}
		if wrote {
			p.rowSeries++
		}
	}
	w.bundle.add(ranked, &p)
	w.partitions = append(w.partitions, p)
	w.meta.Stats.Partitions++
	w.account()
	if len(w.since) >= rowsPerRowGroup {
		if err := w.flushSince(); err != nil {
			return fmt.Errorf("%s: %w", sectionSince, err)
		}
	}
	if w.bundle.full() {
		return w.flush()
	}
	return nil
}
