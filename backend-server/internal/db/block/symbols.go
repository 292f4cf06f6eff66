package block

import (
	"context"
	"fmt"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Symbols implements query.Queryable.
func (b *Block) Symbols(ctx context.Context, i uint32) (*symbols.Table, error) {
	l, err := b.layout(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := b.partition(l, i); err != nil {
		return nil, err
	}
	texts, err := l.table(sectionTexts)
	if err != nil || texts == nil {
		return nil, fmt.Errorf("block %s: texts: %w", b.meta.ID, orElse(err, errNoTable))
	}
	at := texts.Find(int64(i))
	if at >= len(texts.Groups) {
		return nil, fault.New(fault.Corrupt, "block %s: partition %d has no text", b.meta.ID, i)
	}
	c := b.cache.Load()
	tables, err := entryOf(c, c.bundles, at).get(ctx, func() ([]*symbols.Table, error) {
		out, err := b.readBundle(ctx, l, &texts.Groups[at])
		if err != nil {
			return nil, fmt.Errorf("block %s: symbols: %w", b.meta.ID, err)
		}
		c.bytes.Add(bundleMemory(out))
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	return tables[int64(i)-texts.Groups[at].First], nil
}

// bundleReader decodes the symbols of the partitions of a bundle.
type bundleReader struct {
	scratch   table.ReadScratch
	columns32 [symTables][][]uint32
	columns64 [symTables][][]uint64
	text      []byte
	first     [symTables]int64 // row of each table that the columns begin with
}

// readBundle reads the symbols of the partitions that a row group of the texts
// is of, with one read.
func (b *Block) readBundle(ctx context.Context, l *layout, texts *table.Group) ([]*symbols.Table, error) {
	if texts.First+texts.Rows > int64(len(l.partitions)) {
		return nil, errIndex("partition", uint32(texts.First+texts.Rows), uint32(len(l.partitions)))
	}
	parts := l.partitions[texts.First : texts.First+texts.Rows]
	var groups [symTables]*table.Group
	extents := []extent{chunkExtent(&texts.Chunks[0])}
	for s := range groups {
		g, err := bundleGroup(l, s, parts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", symbolSchemas[s].Name, err)
		}
		if g == nil {
			continue
		}
		groups[s] = g
		for i := range g.Chunks {
			extents = append(extents, chunkExtent(&g.Chunks[i]))
		}
	}
	got, err := b.fetchAgain(ctx, extents)
	if err != nil {
		return nil, err
	}
	r := new(bundleReader)
	for s, g := range groups {
		if err := r.columns(s, g, got); err != nil {
			return nil, fmt.Errorf("%s: %w", symbolSchemas[s].Name, err)
		}
	}
	if r.text, err = bundleTexts(&texts.Chunks[0], got); err != nil {
		return nil, fmt.Errorf("texts: %w", err)
	}
	out := make([]*symbols.Table, len(parts))
	for i := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if out[i], err = r.partition(&parts[i]); err != nil {
			return nil, fmt.Errorf("partition %q: %w", parts[i].service, err)
		}
	}
	return out, nil
}

// bundleGroup returns the row group of a symbol table that holds the rows of
// parts, nil if they have none.
func bundleGroup(l *layout, s int, parts []partition) (*table.Group, error) {
	first, end := parts[0].symbols[s].first, parts[len(parts)-1].symbols[s].end()
	if first == end {
		return nil, nil
	}
	t, err := l.table(symbolSchemas[s].Name)
	if err != nil || t == nil {
		return nil, orElse(err, errNoTable)
	}
	i := t.Find(first)
	if i >= len(t.Groups) || t.Groups[i].First != first || t.Groups[i].Rows != end-first {
		return nil, fault.New(fault.Corrupt, "rows %d to %d are not a row group", first, end)
	}
	return &t.Groups[i], nil
}

// bundleTexts returns the texts of the bundle: each its length and content.
func bundleTexts(c *table.Chunk, got pieces) ([]byte, error) {
	var out []byte
	for _, p := range c.Pages {
		content, err := got.at(extent{p.Offset, p.Size})
		if err != nil {
			return nil, err
		}
		// What is returned is kept, so it gets memory of its own.
		page, err := c.Bytes(content, new(table.ReadScratch))
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
	}
	return out, nil
}

// columns decodes the columns of a symbol table.
func (r *bundleReader) columns(s int, g *table.Group, got pieces) error {
	n := len(symbolSchemas[s].Columns)
	r.columns32[s], r.columns64[s] = make([][]uint32, n), make([][]uint64, n)
	if g == nil {
		return nil
	}
	r.first[s] = g.First
	for i := range g.Chunks {
		c := &g.Chunks[i]
		content, err := got.at(chunkExtent(c))
		if err != nil {
			return err
		}
		if c.Kind == table.Uint32 {
			r.columns32[s][i], err = c.Uint32s(content, &r.scratch)
		} else {
			r.columns64[s][i], err = c.Uint64s(content, &r.scratch)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", symbolSchemas[s].Columns[i].Name, err)
		}
	}
	return nil
}

// small returns the part of a 32-bit column that is the partition's.
func (r *bundleReader) small(p *partition, s, column int) []uint32 {
	at := p.symbols[s].first - r.first[s]
	if p.symbols[s].n == 0 {
		return nil
	}
	return r.columns32[s][column][at : at+p.symbols[s].n]
}

func (r *bundleReader) large(p *partition, s, column int) []uint64 {
	at := p.symbols[s].first - r.first[s]
	if p.symbols[s].n == 0 {
		return nil
	}
	return r.columns64[s][column][at : at+p.symbols[s].n]
}

// partition makes the table of the next partition.
func (r *bundleReader) partition(p *partition) (*symbols.Table, error) {
	t := &symbols.Table{Memo: new(symbols.Memo)}
	for _, step := range []func(*symbols.Table, *partition) error{r.strings, r.mappings, r.functions, r.lines, r.locations, r.nodes} {
		if err := step(t, p); err != nil {
			return nil, err
		}
	}
	t.Stacks = append([]uint32(nil), r.small(p, symStacks, 0)...)
	return t, check(t)
}

func (r *bundleReader) strings(t *symbols.Table, p *partition) error {
	text, rest, err := table.Next(r.text)
	if err != nil {
		return err
	}
	r.text = rest
	shared, lengths := r.small(p, symStrings, 0), r.small(p, symStrings, 1)
	size, last := 0, 0
	for i := range shared {
		if int64(shared[i]) > int64(last) || int64(lengths[i]) > int64(len(text)) || size > maxFetch {
			return fault.New(fault.Corrupt, "string of %d+%d bytes after one of %d, with %d left", shared[i], lengths[i], last, len(text))
		}
		last = int(shared[i]) + int(lengths[i])
		size += last
	}
	// All strings in one piece: one allocation, and nothing to free one by one.
	all := make([]byte, 0, size)
	ends := make([]int, len(shared))
	from := 0
	for i := range shared {
		start := len(all)
		if int(lengths[i]) > len(text) {
			return fault.New(fault.Corrupt, "string of %d bytes with %d left", lengths[i], len(text))
		}
		all = append(all, all[from:from+int(shared[i])]...)
		all = append(all, text[:lengths[i]]...)
		text = text[lengths[i]:]
		from, ends[i] = start, len(all)
	}
	if len(text) > 0 {
		return fault.New(fault.Corrupt, "%d bytes behind the last string", len(text))
	}
	whole := string(all)
	t.Strings = make([]string, len(ends))
	start := 0
	for i, end := range ends {
		t.Strings[i] = whole[start:end]
		start = end
	}
	return nil
}

func (r *bundleReader) mappings(t *symbols.Table, p *partition) error {
	t.Mappings = make([]profile.Mapping, p.symbols[symMappings].n)
	var c [6][]uint64
	for i := range c {
		c[i] = r.large(p, symMappings, i)
	}
	for i := range t.Mappings {
		if c[3][i]|c[4][i] > 1<<31 {
			return errIndex("string", uint32(c[3][i]), uint32(len(t.Strings)))
		}
		t.Mappings[i] = profile.Mapping{Start: c[0][i], Limit: c[1][i], Offset: c[2][i], File: uint32(c[3][i]), BuildID: uint32(c[4][i]), HasFunctions: c[5][i] != 0}
	}
	return nil
}

func (r *bundleReader) functions(t *symbols.Table, p *partition) error {
	t.Functions = make([]profile.Function, p.symbols[symFunctions].n)
	names, systems, files, starts := r.small(p, symFunctions, 0), r.small(p, symFunctions, 1), r.small(p, symFunctions, 2), r.large(p, symFunctions, 3)
	var f profile.Function
	for i := range t.Functions {
		f.Name += uint32(unzigzag32(names[i]))
		f.SystemName += uint32(unzigzag32(systems[i]))
		f.Filename += uint32(unzigzag32(files[i]))
		f.StartLine += unzigzag(starts[i])
		t.Functions[i] = f
	}
	return nil
}

func (r *bundleReader) lines(t *symbols.Table, p *partition) error {
	t.Lines = make([]profile.Line, p.symbols[symLines].n)
	functions, lines := r.small(p, symLines, 0), r.large(p, symLines, 1)
	function := uint32(0)
	for i := range t.Lines {
		function += uint32(unzigzag32(functions[i]))
		if int(function) >= len(t.Functions) {
			return errIndex("function", function, uint32(len(t.Functions)))
		}
		t.Lines[i] = profile.Line{Function: function, Line: t.Functions[function].StartLine + unzigzag(lines[i])}
	}
	return nil
}

func (r *bundleReader) locations(t *symbols.Table, p *partition) error {
	t.Locations = make([]profile.Location, p.symbols[symLocations].n)
	mappings, addresses, lines := r.small(p, symLocations, 0), r.large(p, symLocations, 1), r.small(p, symLocations, 2)
	at, address := uint32(0), uint64(0)
	for i := range t.Locations {
		if uint64(at)+uint64(lines[i]) > uint64(len(t.Lines)) {
			return errIndex("line", at+lines[i], uint32(len(t.Lines)))
		}
		address += uint64(unzigzag(addresses[i]))
		t.Locations[i] = profile.Location{Mapping: mappings[i], Address: address, LineStart: at, LineEnd: at + lines[i]}
		at += lines[i]
	}
	return nil
}

func (r *bundleReader) nodes(t *symbols.Table, p *partition) error {
	ups, locations := r.small(p, symNodes, 0), r.small(p, symNodes, 1)
	t.Nodes = make([]symbols.Node, 1, 1+len(ups))
	type level struct{ node, last uint32 } // last: the location of the last child
	path := []level{{}}
	for i, up := range ups {
		if int64(up) >= int64(len(path)) {
			return errIndex("level", up, uint32(len(path)))
		}
		path = path[:len(path)-int(up)]
		parent := &path[len(path)-1]
		parent.last += uint32(unzigzag32(locations[i]))
		t.Nodes = append(t.Nodes, symbols.Node{Parent: parent.node, Location: parent.last})
		path = append(path, level{uint32(len(t.Nodes) - 1), parent.last})
	}
	return nil
}

// check looks at every index of a decoded table that has not been looked at,
// once, so that nobody has to afterwards.
func check(t *symbols.Table) error {
	strs, maps, locs, nodes := uint32(len(t.Strings)), uint32(len(t.Mappings)), uint32(len(t.Locations)), uint32(len(t.Nodes))
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

// errIndex is a symbol index that points outside its table.
func errIndex(what string, i, size uint32) error {
	return fault.New(fault.Corrupt, "%s %d in a table of %d", what, i, size)
}
