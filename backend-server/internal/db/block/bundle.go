package block

import (
	"fmt"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
)

// bundleBytes is how large the symbols of some small partitions may grow that
// are written, and read, together: four times as much made blocks of a day 0.2 %
// smaller, and a question about one small service read four times the bytes.
const bundleBytes = 512 << 10

// alone reports whether symbols fill a bundle of their own. Others that shared
// it would be read with all of them.
func alone(t *symbols.Table) bool {
	return symbolBytes(len(t.Strings), len(t.Mappings), len(t.Functions), len(t.Lines), len(t.Locations), len(t.Nodes), len(t.Stacks)) >= bundleBytes
}

// symbolBytes is the size of symbols in the columns, but for the text of strings.
func symbolBytes(strings, mappings, functions, lines, locations, nodes, stacks int) int {
	return 8*strings + 48*mappings + 20*functions + 12*lines + 16*locations + 8*nodes + 4*stacks
}

// bundle is the symbols of partitions that follow each other, in columns. A
// partition's part does not depend on those before it.
type bundle struct {
	texts     *table.Pages
	text      []byte
	shared    []uint32
	lengths   []uint32
	mappings  [6][]uint64
	functions [3][]uint32
	start     []uint64 // of functions
	lineFns   []uint32
	lines     []uint64
	mapping   []uint32 // of locations
	address   []uint64
	lineCount []uint32
	up        []uint32 // of nodes
	location  []uint32
	stacks    []uint32

	spans   [6][]uint64
	lastRow int64
}

func newBundle(c table.Compression, scratch *table.Scratch) *bundle {
	return &bundle{texts: table.NewPages(c, scratch)}
}

// add adds the symbols of a partition.
func (b *bundle) add(t *symbols.Table, p *partitionCounts) {
	p.symbols = [symTables]int{
		symStrings: len(t.Strings), symMappings: len(t.Mappings), symFunctions: len(t.Functions), symLines: len(t.Lines),
		symLocations: len(t.Locations), symNodes: len(t.Nodes) - 1, symStacks: len(t.Stacks),
	}
	b.addStrings(t.Strings)
	for _, m := range t.Mappings {
		for i, v := range [...]uint64{m.Start, m.Limit, m.Offset, uint64(m.File), uint64(m.BuildID), uint64(boolInt(m.HasFunctions))} {
			b.mappings[i] = append(b.mappings[i], v)
		}
	}
	b.addFunctions(t)
	var last uint64
	for _, l := range t.Locations {
		b.mapping = append(b.mapping, l.Mapping)
		b.address = append(b.address, zigzag(int64(l.Address-last)))
		b.lineCount = append(b.lineCount, l.LineEnd-l.LineStart)
		last = l.Address
	}
	b.addNodes(t.Nodes)
	b.stacks = append(b.stacks, t.Stacks...)
}

func (b *bundle) addStrings(list []string) {
	b.text = b.text[:0]
	last := ""
	for _, s := range list {
		shared := 0
		for shared < min(len(s), len(last)) && s[shared] == last[shared] {
			shared++
		}
		b.shared, b.lengths = append(b.shared, uint32(shared)), append(b.lengths, uint32(len(s)-shared))
		b.text = append(b.text, s[shared:]...)
		last = s
	}
	b.texts.Add(b.text)
}

// change appends the difference between v and *last, which becomes v.
func change(dst []uint32, last *uint32, v uint32) []uint32 {
	dst = append(dst, zigzag32(int32(v-*last)))
	*last = v
	return dst
}

func (b *bundle) addFunctions(t *symbols.Table) {
	var name, system, file uint32
	start := int64(0)
	for _, f := range t.Functions {
		b.functions[0] = change(b.functions[0], &name, f.Name)
		b.functions[1] = change(b.functions[1], &system, f.SystemName)
		b.functions[2] = change(b.functions[2], &file, f.Filename)
		b.start = append(b.start, zigzag(f.StartLine-start))
		start = f.StartLine
	}
	var function uint32
	for _, l := range t.Lines {
		b.lineFns = change(b.lineFns, &function, l.Function)
		b.lines = append(b.lines, zigzag(l.Line-t.Functions[l.Function].StartLine))
	}
}

// addNodes adds the nodes but for the root. Nodes lie depth first, so a node is
// the first child of the one before, or the next sibling of one of its
// ancestors or itself; a location is stored by what it differs from that of the
// parent, or of the sibling.
func (b *bundle) addNodes(nodes []symbols.Node) {
	type level struct{ node, last uint32 } // last: the location of the last child
	path := []level{{}}
	for i := 1; i < len(nodes); i++ {
		n := nodes[i]
		up := uint32(0)
		for path[len(path)-1].node != n.Parent {
			path = path[:len(path)-1]
			up++
		}
		parent := &path[len(path)-1]
		b.up = append(b.up, up)
		b.location = append(b.location, zigzag32(int32(n.Location-parent.last)))
		parent.last = n.Location
		path = append(path, level{uint32(i), n.Location})
	}
}

func (b *bundle) addSpan(row int64, stack uint32, s *query.SpanSample) {
	for i, v := range [...]uint64{zigzag(row - b.lastRow), uint64(stack), s.SpanID, be64(s.TraceID[:8]), be64(s.TraceID[8:]), uint64(s.Value)} {
		b.spans[i] = append(b.spans[i], v)
	}
	b.lastRow = row
}

// raw is the size of the symbols in the columns.
func (b *bundle) raw() int {
	return len(b.text) + symbolBytes(len(b.shared), len(b.mappings[0]), len(b.start), len(b.lines), len(b.address), len(b.up), len(b.stacks))
}

func (b *bundle) full() bool {
	return b.raw()+b.texts.Size() >= bundleBytes || len(b.spans[0]) >= rowsPerRowGroup
}

// size is the memory that the bundle takes.
func (b *bundle) size() int {
	return 2*b.raw() + b.texts.Size() + 48*cap(b.spans[0])
}

// flush writes a row group of every table that has rows.
func (b *bundle) flush(tables func(table.Schema) *table.Writer) error {
	for _, c := range []struct {
		schema table.Schema
		small  [][]uint32
		large  [][]uint64
		order  string // of the columns: s from small, l from large
	}{
		{schemaStrings, [][]uint32{b.shared, b.lengths}, nil, "ss"},
		{schemaMappings, nil, b.mappings[:], "llllll"},
		{schemaFunctions, b.functions[:], [][]uint64{b.start}, "sssl"},
		{schemaLines, [][]uint32{b.lineFns}, [][]uint64{b.lines}, "sl"},
		{schemaLocations, [][]uint32{b.mapping, b.lineCount}, [][]uint64{b.address}, "sls"},
		{schemaNodes, [][]uint32{b.up, b.location}, nil, "ss"},
		{schemaStacks, [][]uint32{b.stacks}, nil, "s"},
		{schemaSpans, nil, b.spans[:], "llllll"},
	} {
		if err := writeGroup(tables(c.schema), c.small, c.large, c.order); err != nil {
			return fmt.Errorf("%s: %w", c.schema.Name, err)
		}
	}
	if n := b.texts.Rows(); n > 0 {
		t := tables(schemaTexts)
		t.Begin(n)
		if err := t.Pages(b.texts); err != nil {
			return fmt.Errorf("%s: %w", sectionTexts, err)
		}
	}
	b.reset()
	return nil
}

// writeGroup writes a row group of columns of numbers, or nothing if they are
// empty.
func writeGroup(t *table.Writer, small [][]uint32, large [][]uint64, order string) error {
	n := 0
	if len(small) > 0 {
		n = len(small[0])
	} else {
		n = len(large[0])
	}
	if n == 0 {
		return nil
	}
	t.Begin(n)
	for _, kind := range order {
		var err error
		if kind == 's' {
			err = t.Uint32s(small[0])
			small = small[1:]
		} else {
			err = t.Uint64s(large[0])
			large = large[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bundle) reset() {
	for _, c := range []*[]uint32{&b.shared, &b.lengths, &b.functions[0], &b.functions[1], &b.functions[2], &b.lineFns, &b.mapping, &b.lineCount, &b.up, &b.location, &b.stacks} {
		*c = (*c)[:0]
	}
	for _, c := range []*[]uint64{&b.start, &b.lines, &b.address} {
		*c = (*c)[:0]
	}
	for i := range b.mappings {
		b.mappings[i], b.spans[i] = b.mappings[i][:0], b.spans[i][:0]
	}
	b.lastRow = 0
}
