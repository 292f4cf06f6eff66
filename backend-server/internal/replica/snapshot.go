package replica

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Snapshot is what some units have of what a question is about, at one moment
// (C2). It may be used by many goroutines.
type Snapshot struct {
	units []*unit
	shown []Unit
}

// Selection says which rows a question is about.
type Selection struct {
	Matchers []*labels.Matcher
	Range    profile.TimeRange
	// rows has each row in one entry, also where it is that of two series: for
	// who takes both.
	rows bool
}

// unit is a Queryable as it was when the snapshot was taken.
type unit struct {
	query.Queryable
	in      profile.TimeRange
	growing bool
	series  []query.Series // selected, sorted by rows
	entries []Entry
	// parts are the windows of each row series, sorted by row series and window.
	parts []part
}

// rowsKey names a row series of a unit.
type rowsKey struct{ partition, rows uint32 }

func (k rowsKey) compare(o rowsKey) int {
	return cmp.Or(cmp.Compare(k.partition, o.partition), cmp.Compare(k.rows, o.rows))
}

// part is the rows of a row series in one window.
type part struct {
	rowsKey
	window  int64
	count   uint64 // rows at the time of the snapshot
	entries []int  // of unit.entries that these rows are a part of
}

// growing is implemented by units that rows may still be added to.
type growing interface{ Growing() bool }

// Take takes a snapshot of those units that have something of the selection.
// They must stay open while it is used.
func (d *Digester) Take(ctx context.Context, units []query.Queryable, sel Selection) (*Snapshot, error) {
	taken := make([]*unit, len(units))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(query.AtOnce(units...))
	for i, q := range units {
		if !q.TimeRange().Overlaps(sel.Range) {
			continue
		}
		g.Go(func() (err error) {
			taken[i], err = d.take(ctx, q, sel)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s := new(Snapshot)
	for _, u := range taken {
		// A unit without entries counts all the same: it may be the head that a
		// block was cut from.
		if u != nil {
			s.units = append(s.units, u)
			s.shown = append(s.shown, Unit{Origin: u.Origin(), Entries: u.entries})
		}
	}
	return s, nil
}

// Units returns what the snapshot shows. It must not be changed.
func (s *Snapshot) Units() []Unit { return s.shown }

func (d *Digester) take(ctx context.Context, q query.Queryable, sel Selection) (*unit, error) {
	u := &unit{Queryable: q, in: sel.Range}
	// Asked before the series: what they miss came while it still grew.
	if g, ok := q.(growing); ok {
		u.growing = g.Growing()
	}
	series, err := q.Select(ctx, sel.Matchers...)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(series, func(a, b query.Series) int {
		return rowsKey{a.Partition, a.Rows}.compare(rowsKey{b.Partition, b.Rows})
	})
	u.series = series
	parts, err := d.parts(ctx, u)
	if err != nil {
		return nil, err
	}
	u.enter(parts, sel.rows)
	return u, nil
}

// digestedPart is a part with the digest of its rows.
type digestedPart struct {
	rowsKey
	window int64
	digest Digest
	reach  query.Reach
}

// reachOrAll is the reach, or, if nothing is known of it, as much as it may be.
func (p *digestedPart) reachOrAll() query.Reach {
	if p.reach == (query.Reach{}) {
		return unknownReach(p.window)
	}
	return p.reach
}

// unknownReach is the reach of rows of a window of which nothing else is known.
func unknownReach(window int64) query.Reach {
	return query.Reach{Begin: math.MinInt64, End: query.WindowRange(window).End}
}

// enter makes entries of the digests of row series, both sorted by row series:
// a series may have its rows in several row series, and a row series may be that
// of two series. These have an entry each, or one together.
func (u *unit) enter(parts []digestedPart, together bool) {
	index := map[entryKey]int{}
	at := 0
	var names []Entry
	for i := 0; i < len(parts); {
		key := parts[i].rowsKey
		end := i
		for end < len(parts) && parts[end].rowsKey == key {
			end++
		}
		for at < len(u.series) && (rowsKey{u.series[at].Partition, u.series[at].Rows}).compare(key) < 0 {
			at++
		}
		first := len(u.parts)
		for _, p := range parts[i:end] {
			u.parts = append(u.parts, part{rowsKey: key, window: p.window, count: p.digest.Count})
		}
		of := at
		for at < len(u.series) && (rowsKey{u.series[at].Partition, u.series[at].Rows}) == key {
			at++
		}
		names = appendNames(names[:0], u.series[of:at], together)
		for _, named := range names {
			for n, p := range parts[i:end] {
				e := u.entry(index, Entry{Series: named.Series, Window: p.window, Counter: named.Counter})
				u.entries[e].merge(p.digest)
				if named.Counter {
					u.entries[e].Reach.Merge(p.reachOrAll())
				}
				u.parts[first+n].entries = append(u.parts[first+n].entries, e)
			}
		}
		i = end
	}
}

// appendNames names the entries of a row series.
func appendNames(out []Entry, series []query.Series, together bool) []Entry {
	for _, s := range series {
		e := Entry{Series: SeriesOf(s.Labels), Counter: s.IsCounter()}
		if together && len(out) > 0 { // in no certain order
			out[0].Series = Series{out[0].Series.Hi + e.Series.Hi, out[0].Series.Lo + e.Series.Lo}
			continue
		}
		out = append(out, e)
	}
	return out
}

type entryKey struct {
	Series
	window int64
}

func (u *unit) entry(index map[entryKey]int, e Entry) int {
	key := entryKey{e.Series, e.Window}
	i, ok := index[key]
	if !ok {
		i = len(u.entries)
		u.entries = append(u.entries, e)
		index[key] = i
	}
	return i
}

// find returns the index of a part.
func (u *unit) find(key rowsKey, window int64) (int, bool) {
	return slices.BinarySearchFunc(u.parts, part{rowsKey: key, window: window}, func(a, b part) int {
		return cmp.Or(a.rowsKey.compare(b.rowsKey), cmp.Compare(a.window, b.window))
	})
}

// scan calls fn for the rows of the snapshot, and the part each is of, that req
// asks for. Rows that came later are left out: those of a row series come in
// the order in which they were added.
func (u *unit) scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row, int) error) error {
	wanted := req.Range
	if u.growing {
		req.Range = u.in // to count what was there
	}
	seen := map[int]uint64{}
	last, lastKey, lastWindow := -1, rowsKey{}, int64(0)
	return u.Queryable.Scan(ctx, req, func(row *query.Row) error {
		key, window := rowsKey{req.Partition, row.Rows}, windowOf(row.Time)
		if last < 0 || key != lastKey || window != lastWindow {
			i, ok := u.find(key, window)
			if !ok {
				return nil // it came later
			}
			last, lastKey, lastWindow = i, key, window
		}
		if u.growing {
			if seen[last] == u.parts[last].count {
				return nil
			}
			seen[last]++
		}
		if !u.in.Contains(row.Time) || !wanted.Contains(row.Time) {
			return nil
		}
		return fn(row, last)
	})
}

// Rows returns the rows of entries.
func (s *Snapshot) Rows(ctx context.Context, refs []Ref) ([][]Row, error) {
	out := make([][]Row, len(refs))
	byUnit := map[int]map[int]int{} // by unit and entry, the index in refs
	for i, r := range refs {
		if r.Unit < 0 || r.Unit >= len(s.units) || r.Entry < 0 || r.Entry >= len(s.units[r.Unit].entries) {
			return nil, fault.New(fault.Invalid, "entry %d of unit %d is asked for; there are %d units", r.Entry, r.Unit, len(s.units))
		}
		if byUnit[r.Unit] == nil {
			byUnit[r.Unit] = map[int]int{}
		}
		byUnit[r.Unit][r.Entry] = i
	}
	asked := make([]query.Queryable, 0, len(byUnit))
	for n := range byUnit {
		asked = append(asked, s.units[n])
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(query.AtOnce(asked...))
	for n, wanted := range byUnit {
		g.Go(func() error { return s.units[n].rows(ctx, wanted, out) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// rows adds the rows of entries to out, where wanted says. An entry is of one
// partition.
func (u *unit) rows(ctx context.Context, wanted map[int]int, out [][]Row) error {
	keys := map[uint32][]uint32{}
	for _, p := range u.parts {
		if slices.ContainsFunc(p.entries, func(e int) bool { _, ok := wanted[e]; return ok }) {
			keys[p.partition] = append(keys[p.partition], p.rows)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(query.AtOnce(u))
	for partition, rows := range keys {
		req := query.ScanRequest{Partition: partition, Rows: slices.Compact(rows), Range: u.in, TotalsOnly: true, Since: true}
		g.Go(func() error {
			return u.scan(ctx, req, func(row *query.Row, p int) error {
				for _, e := range u.parts[p].entries {
					if i, ok := wanted[e]; ok {
						out[i] = append(out[i], Row{row.ID, row.Time, row.Total, row.Since})
					}
				}
				return nil
			})
		})
	}
	return g.Wait()
}

// Distant implements query.Distant.
func (u *unit) Distant() bool { return query.IsDistant(u.Queryable) }
