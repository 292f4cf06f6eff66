package block

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Input is what a block is made of: a Queryable that no longer changes, and
// the services of its partitions.
type Input interface {
	query.Queryable
	Partitions() []string
}

// samplesPerRowGroup bounds a row group of the rows table, and with it what a
// reader has to look at for one series.
const samplesPerRowGroup = 1 << 20

// Write makes a block of the rows of in within r, in the directory dir, which
// it makes. MetaFile is written last and everything is synced, so a crash at
// any moment leaves a whole block or no block. It returns nil, and leaves no
// directory, if there are no rows.
func Write(ctx context.Context, fsys vfs.FS, dir string, id ulid.ULID, in Input, r profile.TimeRange) (*Meta, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("block directory: %w", err)
	}
	meta, err := write(ctx, fsys, dir, id, in, r)
	if err != nil || meta == nil {
		if rmErr := fsys.RemoveAll(dir); err == nil {
			err = rmErr
		}
		return nil, err
	}
	return meta, nil
}

func write(ctx context.Context, fsys vfs.FS, dir string, id ulid.ULID, in Input, r profile.TimeRange) (*Meta, error) {
	f, err := fsys.Create(filepath.Join(dir, DataFile))
	if err != nil {
		return nil, fmt.Errorf("block data: %w", err)
	}
	w := &writer{in: in, r: r, data: &dataWriter{w: f}, meta: &Meta{Version: Version, ID: id, Parent: in.Origin().ID, MinTime: r.End, MaxTime: r.Start}}
	if w.meta.Parent == id {
		w.meta.Parent = ulid.ULID{}
	}
	err = w.run(ctx)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("block data: %w", err)
	}
	if w.meta.Stats.Rows == 0 {
		return nil, nil
	}
	w.meta.Sections = w.data.sections
	w.meta.Files = []File{{Name: DataFile, Size: w.data.size, CRC: w.data.crc}}
	b, err := w.meta.Marshal()
	if err != nil {
		return nil, fmt.Errorf("block meta: %w", err)
	}
	if err := vfs.WriteFileAtomic(fsys, filepath.Join(dir, MetaFile), b); err != nil {
		return nil, fmt.Errorf("block meta: %w", err)
	}
	return w.meta, nil
}

// writer makes one block. The rows go straight to the file; the symbol tables,
// which are small, are kept until the rows are done.
type writer struct {
	in   Input
	r    profile.TimeRange
	data *dataWriter
	meta *Meta

	rows    *parquet.GenericWriter[rowRecord]
	inGroup int // samples in the row group being written

	spans      []spanRecord
	partitions []partitionRecord
	tables     tables
	series     []indexedSeries
	scratch    scratch
}

// indexedSeries is a series for the index: where its rows are.
type indexedSeries struct {
	labels labels.Labels
	ref    rowRef
}

func writerOptions() []parquet.WriterOption {
	return []parquet.WriterOption{parquet.Compression(&parquet.Zstd), parquet.CreatedBy("hearth", "1", "")}
}

func (w *writer) run(ctx context.Context) error {
	w.data.begin(sectionRows)
	w.rows = parquet.NewGenericWriter[rowRecord](w.data, writerOptions()...)
	sources, err := w.sources(ctx)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if err := w.partition(ctx, s); err != nil {
			return err
		}
	}
	if err := w.rows.Close(); err != nil {
		return err
	}
	if w.meta.Stats.Rows == 0 {
		return nil
	}
	return w.sections(ctx)
}

// source is a partition of the input.
type source struct {
	index   uint32
	service string
	rows    []sourceSeries
}

// sourceSeries is a row series of the input with the series that refer to it.
type sourceSeries struct {
	rows   uint32
	series []query.Series
}

// sources lists the partitions by service, each with its row series in the
// order of their labels.
func (w *writer) sources(ctx context.Context) ([]*source, error) {
	all, err := w.in.Select(ctx)
	if err != nil {
		return nil, fmt.Errorf("series: %w", err)
	}
	services := w.in.Partitions()
	parts := make([]*source, len(services))
	for i, service := range services {
		parts[i] = &source{index: uint32(i), service: service}
	}
	byRows := map[[2]uint32]int{}
	for _, s := range all {
		part := parts[s.Partition]
		key := [2]uint32{s.Partition, s.Rows}
		at, known := byRows[key]
		if !known {
			at = len(part.rows)
			byRows[key] = at
			part.rows = append(part.rows, sourceSeries{rows: s.Rows})
		}
		part.rows[at].series = append(part.rows[at].series, s)
	}
	for _, part := range parts {
		for _, rows := range part.rows {
			slices.SortFunc(rows.series, func(a, b query.Series) int { return cmp.Compare(boolInt(a.Scaled), boolInt(b.Scaled)) })
		}
		slices.SortFunc(part.rows, func(a, b sourceSeries) int {
			return cmp.Or(labels.Compare(a.series[0].Labels, b.series[0].Labels), cmp.Compare(a.rows, b.rows))
		})
	}
	slices.SortFunc(parts, func(a, b *source) int { return cmp.Compare(a.service, b.service) })
	return parts, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (w *writer) partition(ctx context.Context, s *source) error {
	counts, err := w.count(ctx, s)
	if err != nil || counts == nil {
		return err
	}
	table, err := w.in.Symbols(ctx, s.index)
	if err != nil {
		return fmt.Errorf("symbols of %q: %w", s.service, err)
	}
	ranked, ranks := rerank(table, counts)
	p := partitionRecord{Service: s.service}
	for _, rows := range s.rows {
		wrote, err := w.rowSeries(ctx, s, rows, ranks)
		if err != nil {
			return fmt.Errorf("rows of %q: %w", s.service, err)
		}
		if wrote {
			p.Series++
		}
	}
	w.tables.add(ranked, &p)
	w.partitions = append(w.partitions, p)
	w.meta.Stats.Partitions++
	return nil
}

// count returns how often each stack occurs in the partition's rows, or nil if
// there are no rows.
func (w *writer) count(ctx context.Context, s *source) ([]uint32, error) {
	var counts []uint32
	found := false
	req := query.ScanRequest{Partition: s.index, Range: w.r}
	for _, rows := range s.rows {
		req.Rows = append(req.Rows, rows.rows)
	}
	slices.Sort(req.Rows)
	err := w.in.Scan(ctx, req, func(row *query.Row) error {
		found = true
		for _, stack := range row.Stacks {
			if int(stack) >= len(counts) {
				counts = append(counts, make([]uint32, int(stack)+1-len(counts)+len(counts)/2)...)
			}
			counts[stack]++
		}
		return nil
	})
	if err != nil || !found {
		return nil, err
	}
	if counts == nil {
		counts = []uint32{}
	}
	return counts, nil
}

// tables gathers the symbol tables of all partitions.
type tables struct {
	strings   []stringRecord
	mappings  []mappingRecord
	functions []functionRecord
	lines     []lineRecord
	locations []locationRecord
	nodes     []nodeRecord
	stacks    []stackRecord
}

func (t *tables) add(s *symbols.Table, p *partitionRecord) {
	p.Strings, p.Mappings, p.Functions = uint32(len(s.Strings)), uint32(len(s.Mappings)), uint32(len(s.Functions))
	p.Lines, p.Locations = uint32(len(s.Lines)), uint32(len(s.Locations))
	p.Nodes, p.Stacks = uint32(len(s.Nodes)-1), uint32(len(s.Stacks))
	for _, text := range s.Strings {
		t.strings = append(t.strings, stringRecord{text})
	}
	for _, m := range s.Mappings {
		t.mappings = append(t.mappings, mappingRecord{m.Start, m.Limit, m.Offset, m.File, m.BuildID, uint32(boolInt(m.HasFunctions))})
	}
	for _, f := range s.Functions {
		t.functions = append(t.functions, functionRecord{f.Name, f.SystemName, f.Filename, f.StartLine})
	}
	for _, l := range s.Lines {
		t.lines = append(t.lines, lineRecord{l.Function, l.Line})
	}
	for _, l := range s.Locations {
		t.locations = append(t.locations, locationRecord{l.Mapping, l.Address, l.LineEnd - l.LineStart})
	}
	depths := make([]uint32, len(s.Nodes))
	for i := 1; i < len(s.Nodes); i++ {
		parent := depths[s.Nodes[i].Parent]
		depths[i] = parent + 1
		t.nodes = append(t.nodes, nodeRecord{Up: depths[i-1] - parent, Location: s.Nodes[i].Location})
	}
	for _, n := range s.Stacks {
		t.stacks = append(t.stacks, stackRecord{n})
	}
}

func (w *writer) sections(ctx context.Context) error {
	t := &w.tables
	steps := []func() error{
		func() error { return writeTable(w.data, sectionSpans, w.spans) },
		func() error { return writeTable(w.data, sectionStacks, t.stacks) },
		func() error { return writeTable(w.data, sectionNodes, t.nodes) },
		func() error { return writeTable(w.data, sectionLocations, t.locations) },
		func() error { return writeTable(w.data, sectionLines, t.lines) },
		func() error { return writeTable(w.data, sectionFunctions, t.functions) },
		func() error { return writeTable(w.data, sectionMappings, t.mappings) },
		func() error { return writeTable(w.data, sectionStrings, t.strings) },
		func() error { return writeTable(w.data, sectionPartitions, w.partitions) },
		w.seriesTable,
		func() error { return w.index(ctx) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	w.meta.Stats.Series = int64(len(w.series))
	return nil
}

// writeTable writes one table as a section. An empty table has no section.
func writeTable[T any](d *dataWriter, name string, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	d.begin(name)
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[T](&buf, writerOptions()...)
	if _, err := w.Write(rows); err != nil {
		return fmt.Errorf("section %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("section %s: %w", name, err)
	}
	_, err := io.Copy(d, &buf)
	return err
}
