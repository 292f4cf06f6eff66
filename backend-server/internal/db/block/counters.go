package block

import (
	"math"
	"slices"
	"unsafe"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// counters is what a block says of running totals beside what they grew by: since
// when. Older blocks say nothing.
type counters struct {
	reach []query.Reach // by number of the digest; zero where it is of none
	since sinceRows
}

// sinceRows is query.Row.Since of the rows of running totals.
type sinceRows struct {
	list  []uint32
	shift []int64 // by row series: what to add to a row's number; noCounter
}

const noCounter = math.MinInt64

// of returns what is known of a row of a row series.
func (s *sinceRows) of(series uint32, row int64) uint32 {
	if len(s.shift) == 0 || s.shift[series] == noCounter {
		return 0
	}
	return s.list[row+s.shift[series]]
}

func (c *counters) bytes() int64 {
	return int64(len(c.reach))*int64(unsafe.Sizeof(query.Reach{})) + 8*int64(len(c.since.shift)) + 4*int64(cap(c.since.list))
}

func isCounter(s query.Series) bool {
	return profile.IsCounter(s.Labels, s.Labels.Get(profile.LabelType))
}

// counterTables write what there is to be said of running totals: of each digest
// of theirs its number and reach, and of each of their rows since when.
func (w *writer) counterTables() error {
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
	if err := writeGroup(w.table(schemaCounters), nil, [][]uint64{digest, begin, end}, "lll"); err != nil {
		return err
	}
	return writeGroup(w.table(schemaSince), [][]uint32{w.since}, nil, "s")
}

// appendedBegin is the begin of a reach as it is stored: 0 if nobody knows it.
func appendedBegin(begin, start profile.UnixMilli) uint64 {
	if begin == math.MinInt64 {
		return 0
	}
	return zigzag(int64(start-begin)) + 1
}

// readCounters reads what counterTables wrote, where there is something.
func (l *layout) readCounters(tail pieces) error {
	if l.tables[sectionCounters] == nil || l.digests == nil {
		return nil
	}
	columns, err := l.columns64(tail, sectionCounters, 0)
	if err != nil {
		return err
	}
	since, err := l.readSince(tail)
	if err != nil {
		return err
	}
	return l.takeCounters(columns, since)
}

// takeCounters checks the columns of counters, and since, and takes them.
func (l *layout) takeCounters(columns [][]uint64, since []uint32) error {
	c := counters{make([]query.Reach, len(l.digests.digest)), sinceRows{since, slices.Repeat([]int64{noCounter}, len(l.rowSeries))}}
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
		if c.since.shift[series] == noCounter {
			c.since.shift[series] = int64(used) - l.rowSeries[series].rows.first
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
	if used != uint64(len(since)) {
		return fault.New(fault.Corrupt, "counters: %d rows, and since when of %d", used, len(since))
	}
	l.counters = c
	return nil
}

func (l *layout) readSince(tail pieces) ([]uint32, error) {
	t, err := l.table(sectionSince)
	if err != nil || t == nil {
		return nil, err
	}
	var out []uint32
	var scratch table.ReadScratch
	for g := range t.Groups {
		c := &t.Groups[g].Chunks[0]
		b, err := tail.at(chunkExtent(c))
		if err != nil {
			return nil, err
		}
		values, err := c.Uint32s(b, &scratch)
		if err != nil {
			return nil, err
		}
		out = append(out, values...)
	}
	return out, nil
}
