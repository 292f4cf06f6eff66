package block

import (
	"unsafe"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
)

// The memory of what is decoded is estimated, from above rather than from
// below: large parts exactly, small ones by their number.

// bytes is the memory of a layout: the tail, of which the index and the footers
// are kept, what these turn into when they are read, and the small tables.
func (l *layout) bytes(tail int64) int64 {
	n := 3*tail + int64(len(l.partitions))*int64(unsafe.Sizeof(partition{})) + int64(len(l.groups))*int64(unsafe.Sizeof(sumGroup{})+8) +
		int64(len(l.rowSeries))*int64(unsafe.Sizeof(rowSeries{})+8) + int64(len(l.series))*int64(unsafe.Sizeof(seriesRef{}))
	if l.digests != nil {
		n += int64(len(l.digests.window))*(8+int64(unsafe.Sizeof(query.Digest{}))) + 8*int64(len(l.digests.starts))
	}
	return n + l.counters.bytes()
}

func (g *rowGroup) bytes() int64 {
	const eight, four = 4, 2 // columns
	return int64(len(g.id)) * (8*eight + 4*four)
}

func (m spanMap) bytes() int64 {
	const entry = 64 // of a map, with its slice
	n := int64(len(m)) * entry
	for _, list := range m {
		n += int64(cap(list)) * int64(unsafe.Sizeof(query.SpanSample{}))
	}
	return n
}

func bundleMemory(tables []*symbols.Table) (n int64) {
	for _, t := range tables {
		n += query.TableBytes(t)
	}
	return n
}
