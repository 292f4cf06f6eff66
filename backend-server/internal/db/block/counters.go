package block

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// counters is what the tail says of running totals beside what they grew by.
// Older blocks say nothing.
type counters struct {
	reach []query.Reach // by number of the digest; zero where it is of none
	shift []int64       // by row series: the row of since less that of rows; noCounter
}

const noCounter = math.MinInt64

func (c *counters) bytes() int64 {
	return int64(len(c.reach))*int64(unsafe.Sizeof(query.Reach{})) + 8*int64(len(c.shift))
}

// rows returns which rows of since are those of a row series.
func (c *counters) rows(l *layout, series uint32) (span, bool) {
	if len(c.shift) == 0 || c.shift[series] == noCounter {
		return span{}, false
	}
	rows := l.rowSeries[series].rows
	return span{rows.first + c.shift[series], rows.n}, true
}

// of returns the rows of since that are those of some row series: they follow each
// other.
func (c *counters) of(l *layout, series span) (all span) {
	for s := series.first; s < series.end(); s++ {
		if rows, ok := c.rows(l, uint32(s)); ok {
			if all.n == 0 {
				all.first = rows.first
			}
			all.n = rows.end() - all.first
		}
	}
	return all
}

// sinceRows is query.Row.Since of the rows of running totals of a partition.
type sinceRows struct {
	sinceList
	shift []int64
}

// sinceList is some rows of since.
type sinceList struct {
	list  []uint32
	first int64 // the row that list begins with
}

// of returns what is known of a row of a row series.
func (s *sinceRows) of(series uint32, row int64) uint32 {
	if len(s.list) == 0 || s.shift[series] == noCounter {
		return 0
	}
	return s.list[row+s.shift[series]-s.first]
}

// sinceOf returns what a scan has to know that asks for it; nothing if none of
// its rows are of running totals.
func (b *Block) sinceOf(ctx context.Context, l *layout, req query.ScanRequest) (sinceRows, error) {
	of := l.partitions[req.Partition].rowSeries
	if !slices.ContainsFunc(req.Rows, func(s uint32) bool {
		if int64(s) < of.first || int64(s) >= of.end() {
			return false
		}
		_, ok := l.counters.rows(l, s)
		return ok
	}) {
		return sinceRows{}, nil
	}
	c := b.cache.Load()
	list, err := entryOf(c, c.since, req.Partition).get(ctx, func() (sinceList, error) {
		rows := l.counters.of(l, of)
		out, err := b.readSince(ctx, l, rows)
		if err != nil {
			return sinceList{}, fmt.Errorf("block %s: %s: %w", b.meta.ID, sectionSince, err)
		}
		c.bytes.Add(4 * int64(cap(out)))
		return sinceList{out, rows.first}, nil
	})
	return sinceRows{list, l.counters.shift}, err
}

// readSince reads rows of since, which are in one row group.
func (b *Block) readSince(ctx context.Context, l *layout, rows span) ([]uint32, error) {
	t, err := l.table(sectionSince)
	if err != nil || t == nil {
		return nil, orElse(err, errNoTable)
	}
	i := t.Find(rows.first)
	if i >= len(t.Groups) || rows.end() > t.Groups[i].First+t.Groups[i].Rows {
		return nil, fault.New(fault.Corrupt, "rows %d to %d are not in one row group", rows.first, rows.end())
	}
	g := &t.Groups[i]
	at := chunkExtent(&g.Chunks[0])
	got, err := b.fetchAgain(ctx, []extent{at})
	if err != nil {
		return nil, err
	}
	content, err := got.at(at)
	if err != nil {
		return nil, err
	}
	values, err := g.Chunks[0].Uint32s(content, new(table.ReadScratch))
	if err != nil {
		return nil, err
	}
	if int64(len(values)) != g.Rows {
		return nil, fault.New(fault.Corrupt, "%d rows of %d", len(values), g.Rows)
	}
	return slices.Clone(values[rows.first-g.First : rows.end()-g.First]), nil // not all of the group is kept
}

// flushSince writes since when the rows that were added last grew.
func (w *writer) flushSince() error {
	err := writeGroup(w.table(schemaSince), [][]uint32{w.since}, nil, "s")
	w.since = w.since[:0]
	return err
}

// counterTable writes of each digest of running totals its number and reach.
func (w *writer) counterTable() error {
	var digest, begin, end []uint64
	last := 0
	for i, d := range w.digests {
		if !w.rowSeries[d.Rows].counter {
			continue
		}
		start := query.WindowRange(d.Window).Start
		digest = append(digest, uint64(i-last))
		begin = append(begin, appendedBegin(d.Begin, start))
		end = append(end, uint64(d.End-start))
		last = i
	}
	return writeGroup(w.table(schemaCounters), nil, [][]uint64{digest, begin, end}, "lll")
}

// appendedBegin is the begin of a reach as it is stored: 0 if nobody knows it.
func appendedBegin(begin, start profile.UnixMilli) uint64 {
	if begin == math.MinInt64 {
		return 0
	}
	return zigzag(int64(start-begin)) + 1
}

// readCounters reads what counterTable wrote, where there is something.
func (l *layout) readCounters(tail pieces) error {
	if l.tables[sectionCounters] == nil || l.digests == nil {
		return nil
	}
	columns, err := l.columns64(tail, sectionCounters, 0)
	if err != nil {
		return err
	}
	return l.takeCounters(columns)
}

// takeCounters checks the columns of counters and takes them.
func (l *layout) takeCounters(columns [][]uint64) error {
	c := counters{make([]query.Reach, len(l.digests.digest)), slices.Repeat([]int64{noCounter}, len(l.rowSeries))}
	at, series, used := uint64(0), 0, uint64(0)
	for i, step := range columns[0] {
		at += step
		if step > uint64(len(l.digests.digest)) || at >= uint64(len(l.digests.digest)) || i > 0 && step == 0 {
			return fault.New(fault.Corrupt, "counters: digest %d of %d", at, len(l.digests.digest))
		}
		d := int(at)
		for d >= l.digests.starts[series+1] {
			series++
		}
		if c.shift[series] == noCounter {
			c.shift[series] = int64(used) - l.rowSeries[series].rows.first
			used += uint64(l.rowSeries[series].rows.n)
		}
		window := query.WindowRange(l.digests.window[d])
		reach := query.Reach{Begin: math.MinInt64, End: window.Start + profile.UnixMilli(columns[2][i])}
		if b := columns[1][i]; b > 0 {
			reach.Begin = window.Start - profile.UnixMilli(unzigzag(b-1))
		}
		if !window.Contains(reach.End) || reach.Begin > reach.End {
			return fault.New(fault.Corrupt, "counters: digest %d of window %d reaches from %d to %d", d, l.digests.window[d], reach.Begin, reach.End)
		}
		c.reach[d] = reach
	}
	l.counters = c
	return nil
}
