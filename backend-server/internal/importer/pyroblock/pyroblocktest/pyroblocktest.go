// Package pyroblocktest writes small blocks as Pyroscope (storage v1) and Phlare
// did, in each version of the layout, for tests of what reads them.
package pyroblocktest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// Profile is a profile of one sample type; its stacks are function names joined
// by semicolons, the root first.
type Profile struct {
	UUID    byte // all 16 bytes of it
	Series  labels.Labels
	Millis  int64
	Samples map[string]int64
}

// Versions are the layouts that Write knows, those of meta files.
var Versions = []int{1, 2, 3}

type profileRow struct {
	ID                  [16]byte `parquet:"ID,uuid"`
	SeriesIndex         uint32   `parquet:"SeriesIndex,delta"`
	StacktracePartition uint64   `parquet:"StacktracePartition,delta"`
	TotalValue          uint64   `parquet:"TotalValue,delta"`
	Samples             []sample `parquet:"Samples,list"`
	TimeNanos           int64    `parquet:"TimeNanos,delta,timestamp(nanosecond)"`
}

type sample struct {
	StacktraceID uint64 `parquet:"StacktraceID,delta"`
	Value        int64  `parquet:"Value,delta"`
}

type stringRow struct {
	ID     uint64 `parquet:"ID,delta"`
	String string `parquet:"String,dict"`
}

type functionRow struct {
	ID         uint64 `parquet:"Id"`
	Name       int64  `parquet:"Name"`
	SystemName int64  `parquet:"SystemName"`
	Filename   int64  `parquet:"Filename"`
	StartLine  int64  `parquet:"StartLine"`
}

type mappingRow struct {
	ID           uint64 `parquet:"Id"`
	MemoryStart  uint64 `parquet:"MemoryStart"`
	MemoryLimit  uint64 `parquet:"MemoryLimit"`
	FileOffset   uint64 `parquet:"FileOffset"`
	Filename     int64  `parquet:"Filename"`
	BuildID      int64  `parquet:"BuildId"`
	HasFunctions bool   `parquet:"HasFunctions"`
}

type locationRow struct {
	ID        uint64 `parquet:"Id"`
	MappingID uint64 `parquet:"MappingId"`
	Address   uint64 `parquet:"Address"`
	Line      []line `parquet:"Line"`
}

type line struct {
	FunctionID uint64 `parquet:"FunctionId"`
	Line       int64  `parquet:"Line"`
}

type stackRow struct {
	ID          uint64   `parquet:"ID,delta"`
	LocationIDs []uint64 `parquet:"LocationIDs,list"`
}

// partitionID is that of the one partition that blocks with partitions have.
const partitionID = 77

// block is a block on its way to the disk. A location is a function and a
// string, and all three have one number.
type block struct {
	t       testing.TB
	dir     string
	version int
	files   []map[string]any

	names  []string
	number map[string]uint64
	nodes  [][2]int64 // parent, location
	stacks map[string]uint64
	lists  []stackRow
}

// Write writes a block into dir, which it makes.
func Write(t testing.TB, dir string, id ulid.ULID, version int, profiles []Profile) {
	b := &block{t: t, dir: dir, version: version, number: map[string]uint64{}, stacks: map[string]uint64{}, nodes: [][2]int64{{-1, 0}}}
	b.name("")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "symbols"), 0o755))
	series := b.index(profiles)
	rows := make([]profileRow, 0, len(profiles))
	for _, p := range profiles {
		rows = append(rows, b.row(p, series))
	}
	slices.SortStableFunc(rows, func(a, b profileRow) int {
		return int(a.SeriesIndex)*2 - int(b.SeriesIndex)*2 + min(1, max(-1, int(a.TimeNanos-b.TimeNanos)))
	})
	writeTable(b, "profiles.parquet", rows)
	b.symbols()
	b.meta(id, len(series), len(rows))
}

func (b *block) name(s string) uint64 {
	n, ok := b.number[s]
	if !ok {
		n = uint64(len(b.names))
		b.number[s] = n
		b.names = append(b.names, s)
	}
	return n
}

func (b *block) row(p Profile, series map[string]uint32) profileRow {
	r := profileRow{SeriesIndex: series[p.Series.String()], TimeNanos: p.Millis * 1e6}
	for i := range r.ID {
		r.ID[i] = p.UUID
	}
	if b.version > 1 {
		r.StacktracePartition = partitionID
	}
	for stack, v := range p.Samples {
		r.Samples = append(r.Samples, sample{b.stack(stack), v})
		r.TotalValue += uint64(v)
	}
	slices.SortFunc(r.Samples, func(a, b sample) int { return int(a.StacktraceID) - int(b.StacktraceID) })
	return r
}

// stack returns the ID of a stack trace.
func (b *block) stack(text string) uint64 {
	if id, ok := b.stacks[text]; ok {
		return id
	}
	at, list := int64(0), stackRow{ID: uint64(len(b.lists))}
	for name := range strings.SplitSeq(text, ";") {
		location := int64(b.name(name))
		list.LocationIDs = slices.Insert(list.LocationIDs, 0, uint64(location))
		child := slices.Index(b.nodes, [2]int64{at, location})
		if child < 0 {
			child = len(b.nodes)
			b.nodes = append(b.nodes, [2]int64{at, location})
		}
		at = int64(child)
	}
	b.lists = append(b.lists, list)
	b.stacks[text] = uint64(at)
	if b.version == 1 {
		b.stacks[text] = list.ID
	}
	return b.stacks[text]
}

func (b *block) file(name string, content []byte) {
	require.NoError(b.t, os.WriteFile(filepath.Join(b.dir, name), content, 0o644))
	b.files = append(b.files, map[string]any{"relPath": name, "sizeBytes": len(content)})
}

func writeTable[T any](b *block, name string, rows []T) {
	full := filepath.Join(b.dir, name)
	require.NoError(b.t, parquet.WriteFile(full, rows))
	raw, err := os.ReadFile(full)
	require.NoError(b.t, err)
	b.files = append(b.files, map[string]any{"relPath": name, "sizeBytes": len(raw)})
}

func (b *block) symbols() {
	dir := ""
	if b.version == 3 {
		dir = "symbols/"
	}
	texts := make([]stringRow, len(b.names))
	functions, locations := make([]functionRow, len(b.names)), make([]locationRow, len(b.names))
	for i, name := range b.names {
		n := uint64(i)
		texts[i] = stringRow{n, name}
		functions[i] = functionRow{ID: n, Name: int64(i), SystemName: int64(i), StartLine: 10}
		locations[i] = locationRow{ID: n, Line: []line{{n, int64(10 + i)}}}
		if strings.HasPrefix(name, "0x") { // a location without symbols
			locations[i].Line = nil
			_, err := fmt.Sscanf(name, "0x%x", &locations[i].Address)
			require.NoError(b.t, err)
		}
	}
	writeTable(b, dir+"strings.parquet", texts)
	writeTable(b, dir+"functions.parquet", functions)
	writeTable(b, dir+"locations.parquet", locations)
	writeTable(b, dir+"mappings.parquet", []mappingRow{{}})
	if b.version == 1 {
		writeTable(b, "stacktraces.parquet", b.lists)
		return
	}
	tree := b.tree()
	b.file("symbols/stacktraces.symdb", tree)
	b.file("symbols/index.symdb", b.symdbIndex(tree))
}

var (
	be         = binary.BigEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func sum(b []byte) []byte { return be.AppendUint32(nil, crc32.Checksum(b, castagnoli)) }

// tree encodes the nodes; all numbers take four bytes.
func (b *block) tree() []byte {
	var out []byte
	last := int64(0)
	for i := 0; i < len(b.nodes); i += 2 {
		out = append(out, 0xff)
		for j := i; j < i+2; j++ {
			n := [2]int64{last, 0}
			if j < len(b.nodes) {
				n = b.nodes[j]
			}
			change := n[0] - last
			last = n[0]
			out = binary.LittleEndian.AppendUint32(out, uint32(change<<1)^uint32(change>>63))
			out = binary.LittleEndian.AppendUint32(out, uint32(n[1]))
		}
	}
	return out
}

func (b *block) symdbIndex(tree []byte) []byte {
	head := make([]byte, 64)
	be.PutUint64(head[8:], uint64(len(tree)))
	be.PutUint64(head[16:], partitionID)
	head[27] = 1
	be.PutUint32(head[32:], uint32(len(b.lists)))
	be.PutUint32(head[36:], uint32(len(b.nodes)))
	be.PutUint32(head[44:], 1<<32-1)
	copy(head[60:], sum(tree))
	body, version := head, uint32(1)
	if b.version == 3 {
		version = 2
		body = be.AppendUint32(nil, 1)
		body = be.AppendUint64(body, partitionID)
		for range 5 {
			body = be.AppendUint32(body, 1)
		}
		body = append(body, head...)
		for _, rows := range []int{len(b.names), 1, len(b.names), len(b.names)} {
			body = be.AppendUint32(be.AppendUint32(be.AppendUint32(body, 0), 0), uint32(rows))
		}
	}
	out := be.AppendUint32([]byte("sym1"), version)
	out = append(out, make([]byte, 8)...)
	out = be.AppendUint64(be.AppendUint64(out, uint64(len(body))), 32)
	out = append(out, body...)
	return append(out, sum(out)...)
}

// index writes index.tsdb and returns the numbers of the series.
func (b *block) index(profiles []Profile) map[string]uint32 {
	all := map[string]labels.Labels{}
	texts := map[string]int{}
	for _, p := range profiles {
		all[p.Series.String()] = p.Series
		p.Series.Range(func(l labels.Label) { texts[l.Name], texts[l.Value] = 0, 0 })
	}
	symbols := slices.Sorted(maps.Keys(texts))
	table := be.AppendUint32(nil, uint32(len(symbols)))
	for i, s := range symbols {
		texts[s] = i
		table = append(binary.AppendUvarint(table, uint64(len(s))), s...)
	}
	out := []byte{0xba, 0xaa, 0xd7, 0, 2}
	out = be.AppendUint32(out, uint32(len(table)))
	out = append(append(out, table...), sum(table)...)
	seriesAt := len(out)
	numbers := map[string]uint32{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		for len(out)%16 != 0 {
			out = append(out, 0)
		}
		n := uint32(len(numbers))
		numbers[key] = n
		body := binary.AppendUvarint(make([]byte, 8), uint64(all[key].Len()))
		all[key].Range(func(l labels.Label) {
			body = binary.AppendUvarint(binary.AppendUvarint(body, uint64(texts[l.Name])), uint64(texts[l.Value]))
		})
		for _, v := range []uint64{1, 0, 0, 0, uint64(n)} {
			body = binary.AppendUvarint(body, v)
		}
		body = append(body, 0, 0, 0, 0)
		out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
		out = append(out, sum(body)...)
	}
	end := uint64(len(out))
	var toc []byte
	for _, v := range []uint64{5, uint64(seriesAt), end, end, end, end, end, 0, 0} {
		toc = be.AppendUint64(toc, v)
	}
	b.file("index.tsdb", append(append(out, toc...), sum(toc)...))
	return numbers
}

func (b *block) meta(id ulid.ULID, series, profiles int) {
	raw, err := json.Marshal(map[string]any{
		"ulid": id, "version": b.version, "files": b.files, "stats": map[string]int{"numSeries": series, "numProfiles": profiles},
	})
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(b.dir, "meta.json"), raw, 0o644))
}
