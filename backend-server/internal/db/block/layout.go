package block

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/index"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// layout is what the tail of the data file says: where everything is. It is
// enough to answer questions about labels and to plan any other.
type layout struct {
	index      *index.Reader
	partitions []partition
	groups     []sumGroup
	rowSeries  []rowSeries
	rowStarts  []int64 // first row of each row series
	sumStarts  []int64 // first sum of each group
	series     []seriesRef
	digests    *digests // nil if the block has none
	counters   counters
	tables     map[string]func() (*table.Table, error)
}

// span is a range of rows of a table.
type span struct{ first, n int64 }

func (s span) end() int64 { return s.first + s.n }

// partition is where a partition lies in the tables.
type partition struct {
	service           string
	rowSeries, groups span
	symbols           [symTables]span
	spans             span
}

type sumGroup struct {
	partition uint32
	step      profile.UnixMilli
	sums      span
}

type rowSeries struct {
	partition, group uint32
	rows             span
}

// seriesRef says where the profiles of a series are. The index refers to it by
// number.
type seriesRef struct {
	rowSeries uint32
	scaled    bool
}

func (b *Block) layout(ctx context.Context) (*layout, error) {
	c := b.cache.Load()
	return c.layout.get(ctx, func() (*layout, error) {
		l, err := b.readTail(ctx)
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", b.meta.ID, err)
		}
		c.bytes.Add(l.bytes(b.meta.tail().size))
		return l, nil
	})
}

// readTail reads the tail with one read and checks all of it.
func (b *Block) readTail(ctx context.Context) (*layout, error) {
	tail := b.meta.tail()
	if tail.size > maxFetch {
		return nil, fault.New(fault.Corrupt, "tail of %d bytes; the limit is %d", tail.size, maxFetch)
	}
	data := make([]byte, tail.size)
	if err := b.readAt(ctx, data, tail.offset, true); err != nil {
		return nil, err
	}
	p := pieces{{tail.offset, data}}
	sections := map[string][]byte{}
	l := &layout{tables: map[string]func() (*table.Table, error){}}
	for _, s := range b.meta.Sections {
		if s.Name == sectionColumns {
			continue
		}
		content, err := p.at(extent{s.Offset, s.Size})
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", s.Name, err)
		}
		if sum := Checksum(content); sum != s.CRC {
			return nil, fault.New(fault.Corrupt, "section %s: checksum %08x, written %08x", s.Name, sum, s.CRC)
		}
		sections[s.Name] = content
		if schema, ok := schemas[s.Name]; ok {
			l.tables[s.Name] = sync.OnceValues(func() (*table.Table, error) { return table.Open(content, s.Offset, schema) })
		}
	}
	var err error
	if l.index, err = index.Open(sections[sectionIndex]); err != nil {
		return nil, err
	}
	if err := l.read(p); err != nil {
		return nil, err
	}
	return l, nil
}

// table returns a table, or nil if it has no rows.
func (l *layout) table(name string) (*table.Table, error) {
	open := l.tables[name]
	if open == nil {
		return nil, nil
	}
	return open()
}

// read reads the small tables.
func (l *layout) read(tail pieces) error {
	for _, step := range []func(pieces) error{l.readPartitions, l.readGroups, l.readRowSeries, l.readSeries, l.readDigests, l.readCounters} {
		if err := step(tail); err != nil {
			return err
		}
	}
	return nil
}

// columns64 reads the columns of a small table, which are 64-bit numbers from
// column first on.
func (l *layout) columns64(tail pieces, name string, first int) (out [][]uint64, err error) {
	t, err := l.table(name)
	if err != nil {
		return nil, err
	}
	out = make([][]uint64, len(schemas[name].Columns))
	if t == nil {
		return out, nil
	}
	var scratch table.ReadScratch
	for g := range t.Groups {
		for i := first; i < len(out); i++ {
			c := &t.Groups[g].Chunks[i]
			b, err := tail.at(chunkExtent(c))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			values, err := c.Uint64s(b, &scratch)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out[i] = append(out[i], values...)
		}
	}
	return out, nil
}

// spans turns counts into the ranges that they are, one behind the other.
func spans(counts []uint64) ([]span, error) {
	out := make([]span, len(counts))
	at := int64(0)
	for i, n := range counts {
		if n > 1<<40 {
			return nil, fault.New(fault.Corrupt, "table of %d rows", n)
		}
		out[i] = span{at, int64(n)}
		at += int64(n)
	}
	return out, nil
}

func (l *layout) readPartitions(tail pieces) error {
	columns, err := l.columns64(tail, sectionPartitions, 1)
	if err != nil {
		return err
	}
	services, err := l.services(tail)
	if err != nil {
		return fmt.Errorf("%s: %w", sectionPartitions, err)
	}
	l.partitions = make([]partition, len(services))
	for c, counts := range columns[1:] {
		ranges, err := spans(counts)
		if err != nil {
			return err
		}
		if len(ranges) != len(services) {
			return fault.New(fault.Corrupt, "%d partitions, %d services", len(ranges), len(services))
		}
		for i, r := range ranges {
			p := &l.partitions[i]
			p.service = services[i]
			*[...]*span{
				&p.rowSeries, &p.groups, &p.symbols[0], &p.symbols[1], &p.symbols[2], &p.symbols[3],
				&p.symbols[4], &p.symbols[5], &p.symbols[6], &p.spans,
			}[c] = r
		}
	}
	return nil
}

func (l *layout) services(tail pieces) ([]string, error) {
	t, err := l.table(sectionPartitions)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fault.New(fault.Corrupt, "no partitions")
	}
	var out []string
	var scratch table.ReadScratch
	for g := range t.Groups {
		c := &t.Groups[g].Chunks[0]
		for _, p := range c.Pages {
			b, err := tail.at(extent{p.Offset, p.Size})
			if err != nil {
				return nil, err
			}
			page, err := c.Bytes(b, &scratch)
			if err != nil {
				return nil, err
			}
			for len(page) > 0 {
				var v []byte
				if v, page, err = table.Next(page); err != nil {
					return nil, err
				}
				out = append(out, string(v))
			}
		}
	}
	return out, nil
}

func (l *layout) readGroups(tail pieces) error {
	columns, err := l.columns64(tail, sectionGroups, 0)
	if err != nil {
		return err
	}
	ranges, err := spans(columns[1])
	if err != nil {
		return err
	}
	l.groups = make([]sumGroup, len(ranges))
	l.sumStarts = make([]int64, len(ranges))
	for i, r := range ranges {
		l.groups[i] = sumGroup{step: profile.UnixMilli(columns[0][i]), sums: r}
		l.sumStarts[i] = r.first
		if s := l.groups[i].step; s != 0 && s != shortStep && s != longStep {
			return fault.New(fault.Corrupt, "sums of %d ms", s)
		}
	}
	for p := range l.partitions {
		of := l.partitions[p].groups
		if of.end() > int64(len(l.groups)) {
			return fault.New(fault.Corrupt, "group %d of %d", of.end(), len(l.groups))
		}
		for i := of.first; i < of.end(); i++ {
			l.groups[i].partition = uint32(p)
		}
	}
	return nil
}

func (l *layout) readRowSeries(tail pieces) error {
	columns, err := l.columns64(tail, sectionRowSeries, 0)
	if err != nil {
		return err
	}
	ranges, err := spans(columns[1])
	if err != nil {
		return err
	}
	l.rowSeries = make([]rowSeries, len(ranges))
	l.rowStarts = make([]int64, len(ranges))
	for i, r := range ranges {
		l.rowStarts[i] = r.first
		if columns[0][i] >= uint64(len(l.groups)) {
			return fault.New(fault.Corrupt, "group %d of %d", columns[0][i], len(l.groups))
		}
		l.rowSeries[i] = rowSeries{group: uint32(columns[0][i]), rows: r}
	}
	for p := range l.partitions {
		of := l.partitions[p].rowSeries
		if of.end() > int64(len(l.rowSeries)) {
			return fault.New(fault.Corrupt, "row series %d of %d", of.end(), len(l.rowSeries))
		}
		for i := of.first; i < of.end(); i++ {
			l.rowSeries[i].partition = uint32(p)
		}
	}
	return nil
}

func (l *layout) readSeries(tail pieces) error {
	columns, err := l.columns64(tail, sectionSeries, 0)
	if err != nil {
		return err
	}
	l.series = make([]seriesRef, len(columns[0]))
	for i, rows := range columns[0] {
		if rows >= uint64(len(l.rowSeries)) {
			return fault.New(fault.Corrupt, "row series %d of %d", rows, len(l.rowSeries))
		}
		l.series[i] = seriesRef{uint32(rows), columns[1][i] == 1}
	}
	return nil
}

// Partitions returns the services of the block's partitions, by partition
// index.
func (b *Block) Partitions(ctx context.Context) ([]string, error) {
	l, err := b.layout(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(l.partitions))
	for i, p := range l.partitions {
		out[i] = p.service
	}
	return out, nil
}

// partition returns a partition by its index.
func (b *Block) partition(l *layout, i uint32) (*partition, error) {
	if int(i) >= len(l.partitions) {
		return nil, fault.New(fault.Corrupt, "block %s: partition %d of %d", b.meta.ID, i, len(l.partitions))
	}
	return &l.partitions[i], nil
}

// Select implements query.Queryable.
func (b *Block) Select(ctx context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	l, err := b.layout(ctx)
	if err != nil {
		return nil, err
	}
	var out []query.Series
	err = l.index.Select(ctx, func(s index.Series) error {
		if s.Ref >= uint64(len(l.series)) {
			return fault.New(fault.Corrupt, "series %d of %d", s.Ref, len(l.series))
		}
		ref := l.series[s.Ref]
		out = append(out, query.Series{Labels: s.Labels, Partition: l.rowSeries[ref.rowSeries].partition, Rows: ref.rowSeries, Scaled: ref.scaled})
		return nil
	}, matchers...)
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", b.meta.ID, err)
	}
	return out, nil
}

// Groups implements query.Summed.
func (b *Block) Groups(ctx context.Context, i uint32) ([]query.Group, error) {
	l, err := b.layout(ctx)
	if err != nil {
		return nil, err
	}
	p, err := b.partition(l, i)
	if err != nil {
		return nil, err
	}
	out := make([]query.Group, p.groups.n)
	for g := range out {
		n := uint32(p.groups.first) + uint32(g)
		out[g] = query.Group{Index: n, Step: l.groups[n].step}
	}
	for s := p.rowSeries.first; s < p.rowSeries.end(); s++ {
		g := int64(l.rowSeries[s].group) - p.groups.first
		if g < 0 || g >= p.groups.n {
			return nil, fault.New(fault.Corrupt, "block %s: group %d of another partition", b.meta.ID, l.rowSeries[s].group)
		}
		out[g].Rows = append(out[g].Rows, uint32(s))
	}
	return slices.DeleteFunc(out, func(g query.Group) bool { return len(g.Rows) == 0 }), nil
}
