package block

import (
	"context"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// digests are the digests of all rows by row series and window, those of a row
// series in order of time. Since rows have that order too, the counts say which
// rows lie in which window.
type digests struct {
	window []int64
	digest []query.Digest
	starts []int // of each row series, and the end of the last
}

// digest adds a row to the digests, in order of row series and time.
func (w *writer) digest(number uint32, r *row) {
	window := query.WindowOf(profile.UnixMilli(r.time))
	if n := len(w.digests); n == 0 || w.digests[n-1].Rows != number || w.digests[n-1].Window != window {
		w.digests = append(w.digests, query.RowsDigest{Rows: number, Window: window})
	}
	d := &w.digests[len(w.digests)-1]
	d.Add(r.id, r.total)
	if w.rowSeries[number].counter {
		d.Reach.Merge(query.ReachOf(profile.UnixMilli(r.time), r.since))
		w.since = append(w.since, r.since)
	}
}

// digestTable writes the digests, without saying of which row series each is:
// that follows from the counts.
func (w *writer) digestTable() error {
	var window, count, sum []uint64
	for i, d := range w.digests {
		last := int64(0)
		if i > 0 && w.digests[i-1].Rows == d.Rows {
			last = w.digests[i-1].Window
		}
		window, count, sum = append(window, zigzag(d.Window-last)), append(count, d.Count), append(sum, d.Sum)
	}
	return writeGroup(w.table(schemaDigests), nil, [][]uint64{window, count, sum}, "lll")
}

// readDigests reads the digests, where there are any: older blocks have none.
func (l *layout) readDigests(tail pieces) error {
	if l.tables[sectionDigests] == nil {
		return nil
	}
	columns, err := l.columns64(tail, sectionDigests, 0)
	if err != nil {
		return err
	}
	n := len(columns[0])
	d := &digests{window: make([]int64, n), digest: make([]query.Digest, n), starts: make([]int, 1, len(l.rowSeries)+1)}
	at := 0
	for i := range l.rowSeries {
		last := int64(0)
		rows := uint64(l.rowSeries[i].rows.n)
		for first := at; rows > 0 && at < n; at++ {
			last += unzigzag(columns[0][at])
			count := columns[1][at]
			if count == 0 || count > rows || at > first && last <= d.window[at-1] {
				return fault.New(fault.Corrupt, "digests: window %d with %d rows of the %d left in row series %d", last, count, rows, i)
			}
			d.window[at], d.digest[at] = last, query.Digest{Count: count, Sum: columns[2][at]}
			rows -= count
		}
		if rows > 0 {
			return fault.New(fault.Corrupt, "digests: %d rows of row series %d have none", rows, i)
		}
		d.starts = append(d.starts, at)
	}
	if at < n {
		return fault.New(fault.Corrupt, "digests: %d for %d row series, which need %d", n, len(l.rowSeries), at)
	}
	l.digests = d
	return nil
}

// Digests implements query.Digested.
func (b *Block) Digests(ctx context.Context, partition uint32, rows []uint32) ([]query.RowsDigest, bool, error) {
	l, err := b.layout(ctx)
	if err != nil || l.digests == nil {
		return nil, false, err
	}
	p, err := b.partition(l, partition)
	if err != nil {
		return nil, false, err
	}
	d := l.digests
	out := make([]query.RowsDigest, 0, len(rows))
	for _, s := range rows {
		if int64(s) < p.rowSeries.first || int64(s) >= p.rowSeries.end() {
			continue
		}
		for i := d.starts[s]; i < d.starts[s+1]; i++ {
			one := query.RowsDigest{Rows: s, Window: d.window[i], Digest: d.digest[i]}
			if len(l.counters.reach) > 0 {
				one.Reach = l.counters.reach[i]
			}
			out = append(out, one)
		}
	}
	return out, true, nil
}

var _ query.Digested = (*Block)(nil)

// rowsWithin returns which rows of a row series may lie in a range, as far as
// the layout says, and whether all of them do.
func (l *layout) rowsWithin(s uint32, has, r profile.TimeRange) (rows span, all bool) {
	rows = l.rowSeries[s].rows
	if r.Start <= has.Start && r.End >= has.End {
		return rows, true
	}
	d := l.digests
	if d == nil {
		return rows, false
	}
	from, to := d.starts[s], d.starts[s+1]
	all = true
	for from < to && query.WindowRange(d.window[from]).End < r.Start {
		rows.first += int64(d.digest[from].Count)
		rows.n -= int64(d.digest[from].Count)
		from++
	}
	for from < to && query.WindowRange(d.window[to-1]).Start > r.End {
		to--
		rows.n -= int64(d.digest[to].Count)
	}
	if from < to {
		all = max(has.Start, query.WindowRange(d.window[from]).Start) >= r.Start && min(has.End, query.WindowRange(d.window[to-1]).End) <= r.End
	}
	return rows, all
}
