package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

type symbolsTable = symbols.Table

// partition is where a partition's symbols lie in the tables: first row and
// number of rows.
type partition struct {
	service                                                       string
	strings, mappings, functions, lines, locations, nodes, stacks span
}

type span struct{ first, n int64 }

func (b *Block) loadPartitions(ctx context.Context) ([]partition, error) {
	return b.partitions.get(ctx, func() (_ []partition, err error) {
		defer guard(&err)
		f, err := b.loadTable(ctx, sectionPartitions)
		if err != nil {
			return nil, err
		}
		if f.NumRows() < 0 || f.NumRows() > maxRows {
			return nil, fault.New(fault.Corrupt, "block %s: %d partitions", b.meta.ID, f.NumRows())
		}
		records := make([]partitionRecord, f.NumRows())
		r := parquet.NewGenericReader[partitionRecord](f)
		n, err := r.Read(records)
		if n != len(records) {
			return nil, fault.Mark(fault.Corrupt, fmt.Errorf("block %s: partitions: %d of %d: %w", b.meta.ID, n, len(records), err))
		}
		if err := r.Close(); err != nil {
			return nil, fmt.Errorf("block %s: partitions: %w", b.meta.ID, err)
		}
		out := make([]partition, len(records))
		var at partition
		for i, r := range records {
			p := &out[i]
			p.service = r.Service
			for _, part := range []struct {
				to, next *span
				n        uint32
			}{
				{&p.strings, &at.strings, r.Strings}, {&p.mappings, &at.mappings, r.Mappings}, {&p.functions, &at.functions, r.Functions},
				{&p.lines, &at.lines, r.Lines}, {&p.locations, &at.locations, r.Locations}, {&p.nodes, &at.nodes, r.Nodes}, {&p.stacks, &at.stacks, r.Stacks},
			} {
				*part.to = span{part.next.first, int64(part.n)}
				part.next.first += int64(part.n)
			}
		}
		return out, nil
	})
}

// Partitions returns the services of the block's partitions, by partition
// index.
func (b *Block) Partitions(ctx context.Context) ([]string, error) {
	parts, err := b.loadPartitions(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = p.service
	}
	return out, nil
}

// Symbols implements query.Queryable.
func (b *Block) Symbols(ctx context.Context, i uint32) (*symbols.Table, error) {
	b.mu.Lock()
	o := b.mu.symbols[i]
	if o == nil {
		o = new(once[*symbolsTable])
		b.mu.symbols[i] = o
	}
	b.mu.Unlock()
	return o.get(ctx, func() (*symbolsTable, error) {
		parts, err := b.loadPartitions(ctx)
		if err != nil {
			return nil, err
		}
		if int(i) >= len(parts) {
			return nil, fault.New(fault.Corrupt, "block %s: partition %d of %d", b.meta.ID, i, len(parts))
		}
		t, err := b.decodeSymbols(ctx, parts[i])
		if err != nil {
			return nil, fmt.Errorf("block %s: symbols of %q: %w", b.meta.ID, parts[i].service, err)
		}
		return t, nil
	})
}

// Numbers of the tables in Block.tables.
const (
	tableStrings = iota
	tableMappings
	tableFunctions
	tableLines
	tableLocations
	tableNodes
	tableStacks
)

var tableSections = [...]string{sectionStrings, sectionMappings, sectionFunctions, sectionLines, sectionLocations, sectionNodes, sectionStacks}

func (b *Block) table(ctx context.Context, i int, s span) (*parquet.File, error) {
	if s.n == 0 {
		return nil, nil
	}
	return b.tables[i].get(ctx, func() (*parquet.File, error) { return b.loadTable(ctx, tableSections[i]) })
}

func (b *Block) decodeSymbols(ctx context.Context, p partition) (*symbols.Table, error) {
	t := &symbols.Table{Memo: new(symbols.Memo)}
	steps := []struct {
		table int
		s     span
		read  func(t *symbols.Table, f *parquet.File, s span) error
	}{
		{tableStrings, p.strings, readStringTable}, {tableMappings, p.mappings, readMappings}, {tableFunctions, p.functions, readFunctions},
		{tableLines, p.lines, readLines}, {tableLocations, p.locations, readLocations}, {tableNodes, p.nodes, readNodes}, {tableStacks, p.stacks, readStacks},
	}
	for _, step := range steps {
		f, err := b.table(ctx, step.table, step.s)
		if err != nil {
			return nil, err
		}
		if f == nil && step.table != tableNodes {
			continue
		}
		if err := step.read(t, f, step.s); err != nil {
			return nil, fmt.Errorf("%s: %w", tableSections[step.table], err)
		}
	}
	return t, check(t)
}

func readStringTable(t *symbols.Table, f *parquet.File, s span) (err error) {
	t.Strings, err = readStrings(f, 0, s.first, s.n)
	return err
}

func readMappings(t *symbols.Table, f *parquet.File, s span) error {
	start, e0 := readColumn[uint64](f, 0, s.first, s.n)
	limit, e1 := readColumn[uint64](f, 1, s.first, s.n)
	offset, e2 := readColumn[uint64](f, 2, s.first, s.n)
	file, e3 := readColumn[uint32](f, 3, s.first, s.n)
	build, e4 := readColumn[uint32](f, 4, s.first, s.n)
	has, e5 := readColumn[uint32](f, 5, s.first, s.n)
	if err := errors.Join(e0, e1, e2, e3, e4, e5); err != nil {
		return err
	}
	t.Mappings = make([]profile.Mapping, s.n)
	for i := range t.Mappings {
		t.Mappings[i] = profile.Mapping{Start: start[i], Limit: limit[i], Offset: offset[i], File: file[i], BuildID: build[i], HasFunctions: has[i] != 0}
	}
	return nil
}

func readFunctions(t *symbols.Table, f *parquet.File, s span) error {
	name, e0 := readColumn[uint32](f, 0, s.first, s.n)
	system, e1 := readColumn[uint32](f, 1, s.first, s.n)
	file, e2 := readColumn[uint32](f, 2, s.first, s.n)
	line, e3 := readColumn[int64](f, 3, s.first, s.n)
	if err := errors.Join(e0, e1, e2, e3); err != nil {
		return err
	}
	t.Functions = make([]profile.Function, s.n)
	for i := range t.Functions {
		t.Functions[i] = profile.Function{Name: name[i], SystemName: system[i], Filename: file[i], StartLine: line[i]}
	}
	return nil
}

func readLines(t *symbols.Table, f *parquet.File, s span) error {
	function, e0 := readColumn[uint32](f, 0, s.first, s.n)
	line, e1 := readColumn[int64](f, 1, s.first, s.n)
	if err := errors.Join(e0, e1); err != nil {
		return err
	}
	t.Lines = make([]profile.Line, s.n)
	for i := range t.Lines {
		t.Lines[i] = profile.Line{Function: function[i], Line: line[i]}
	}
	return nil
}

func readLocations(t *symbols.Table, f *parquet.File, s span) error {
	mapping, e0 := readColumn[uint32](f, 0, s.first, s.n)
	address, e1 := readColumn[uint64](f, 1, s.first, s.n)
	lines, e2 := readColumn[uint32](f, 2, s.first, s.n)
	if err := errors.Join(e0, e1, e2); err != nil {
		return err
	}
	t.Locations = make([]profile.Location, s.n)
	at := uint32(0)
	for i := range t.Locations {
		if uint64(at)+uint64(lines[i]) > uint64(len(t.Lines)) {
			return errIndex("line", at+lines[i], uint32(len(t.Lines)))
		}
		t.Locations[i] = profile.Location{Mapping: mapping[i], Address: address[i], LineStart: at, LineEnd: at + lines[i]}
		at += lines[i]
	}
	return nil
}

func readNodes(t *symbols.Table, f *parquet.File, s span) error {
	t.Nodes = make([]symbols.Node, 1)
	if s.n == 0 {
		return nil
	}
	up, e0 := readColumn[uint32](f, 0, s.first, s.n)
	location, e1 := readColumn[uint32](f, 1, s.first, s.n)
	if err := errors.Join(e0, e1); err != nil {
		return err
	}
	t.Nodes = slices.Grow(t.Nodes, len(up))
	path := []uint32{0} // the nodes from the root to the one before
	for i := range up {
		if int(up[i]) >= len(path) {
			return errIndex("level", up[i], uint32(len(path)))
		}
		path = path[:len(path)-int(up[i])]
		t.Nodes = append(t.Nodes, symbols.Node{Parent: path[len(path)-1], Location: location[i]})
		path = append(path, uint32(len(t.Nodes)-1))
	}
	return nil
}

func readStacks(t *symbols.Table, f *parquet.File, s span) (err error) {
	t.Stacks, err = readColumn[uint32](f, 0, s.first, s.n)
	return err
}

// check looks at every index of a decoded table, once, so that nobody has to
// afterwards.
func check(t *symbols.Table) error {
	strs, fns := uint32(len(t.Strings)), uint32(len(t.Functions))
	maps, locs, nodes := uint32(len(t.Mappings)), uint32(len(t.Locations)), uint32(len(t.Nodes))
	for _, m := range t.Mappings {
		if max(m.File, m.BuildID) >= strs {
			return errIndex("string", max(m.File, m.BuildID), strs)
		}
	}
	for _, f := range t.Functions {
		if i := max(f.Name, f.SystemName, f.Filename); i >= strs {
			return errIndex("string", i, strs)
		}
	}
	for _, l := range t.Lines {
		if l.Function >= fns {
			return errIndex("function", l.Function, fns)
		}
	}
	for _, l := range t.Locations {
		if l.Mapping >= maps {
			return errIndex("mapping", l.Mapping, maps)
		}
	}
	for _, n := range t.Nodes[1:] {
		if n.Location >= locs {
			return errIndex("location", n.Location, locs)
		}
	}
	for _, s := range t.Stacks {
		if s >= nodes {
			return errIndex("node", s, nodes)
		}
	}
	return nil
}
