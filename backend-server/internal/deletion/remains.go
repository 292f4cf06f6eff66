package deletion

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Over returns the units as they are without what is deleted. Those that no
// rule can concern are returned themselves.
func (rs Rules) Over(units []query.Queryable) []query.Queryable {
	if len(rs) == 0 {
		return units
	}
	out := make([]query.Queryable, len(units))
	for i, u := range units {
		out[i] = rs.over(u)
	}
	return out
}

// growing is implemented by units that rows may still be added to.
type growing interface{ Growing() bool }

func (rs Rules) over(u query.Queryable) query.Queryable {
	grows, can := u.(growing)
	// Asked before the range: where it still grows, the range may get wider.
	if !can || !grows.Growing() {
		rs = rs.In(u.TimeRange())
	}
	if len(rs) == 0 {
		return u
	}
	r := &remains{Queryable: u, rules: rs, known: map[rowsKey][]profile.TimeRange{}}
	r.ofService, r.ofAny = rs.byService()
	if can {
		return growingRemains{r, grows}
	}
	return r
}

// remains is what is left of a unit.
type remains struct {
	query.Queryable
	rules Rules
	// Indices of rules: of those about one service, by its name, and the others.
	ofService map[string][]int
	ofAny     []int

	mu sync.Mutex // guards known
	// known has, by row series, the times at which rows are deleted, ascending
	// and apart. It is decided by the labels when the series is first seen: a
	// list of the row series that a rule concerns would miss those to come.
	known map[rowsKey][]profile.TimeRange
}

// growingRemains is what is left of a unit that may grow.
type growingRemains struct {
	*remains
	growing
}

// rowsKey names a row series of a unit.
type rowsKey struct{ partition, rows uint32 }

// TimeRange implements query.Queryable: the unit's, without what is deleted of
// all series at its ends.
func (r *remains) TimeRange() profile.TimeRange {
	out := r.Queryable.TimeRange()
	for changed := true; changed && out.Start <= out.End; {
		changed = false
		for i := range r.rules {
			if !r.rules[i].everything() {
				continue
			}
			gone := r.rules[i].Range
			if gone.Contains(out.Start) {
				out.Start, changed = gone.End+1, true
			}
			if gone.Contains(out.End) {
				out.End, changed = gone.Start-1, true
			}
		}
	}
	if out.Start > out.End {
		return profile.TimeRange{Start: math.MaxInt64, End: math.MinInt64} // overlaps nothing
	}
	return out
}

// Select implements query.Queryable: the series of which anything may be left.
func (r *remains) Select(ctx context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	series, err := r.Queryable.Select(ctx, matchers...)
	if err != nil {
		return nil, err
	}
	has := r.Queryable.TimeRange()
	out := series[:0:0]
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range series {
		if !covered(r.learn(&s), has) {
			out = append(out, s)
		}
	}
	return out, nil
}

// learn returns when rows of a series are deleted. The caller holds r.mu.
func (r *remains) learn(s *query.Series) []profile.TimeRange {
	key := rowsKey{s.Partition, s.Rows}
	gone, ok := r.known[key]
	if !ok {
		for _, some := range [][]int{r.ofAny, r.ofService[s.Labels.Get(profile.LabelServiceName)]} {
			for _, i := range some {
				if r.rules[i].Concerns(s.Labels) {
					gone = append(gone, r.rules[i].Range)
				}
			}
		}
		gone = apart(gone)
		r.known[key] = gone
	}
	return gone
}

// apart sorts ranges and joins those that leave no time between them.
func apart(ranges []profile.TimeRange) []profile.TimeRange {
	slices.SortFunc(ranges, func(a, b profile.TimeRange) int { return cmp.Compare(a.Start, b.Start) })
	out := ranges[:0]
	for _, r := range ranges {
		if n := len(out); n > 0 && r.Start <= out[n-1].End+1 {
			out[n-1].End = max(out[n-1].End, r.End)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// covered reports whether one of the ranges has all of in.
func covered(ranges []profile.TimeRange, in profile.TimeRange) bool {
	return slices.ContainsFunc(ranges, func(r profile.TimeRange) bool { return r.Start <= in.Start && in.End <= r.End })
}

func overlap(ranges []profile.TimeRange, in profile.TimeRange) bool {
	return slices.ContainsFunc(ranges, in.Overlaps)
}

func contain(ranges []profile.TimeRange, t profile.UnixMilli) bool {
	return slices.ContainsFunc(ranges, func(r profile.TimeRange) bool { return r.Contains(t) })
}

// gone returns, for each row series of a partition, when rows are deleted.
func (r *remains) gone(ctx context.Context, partition uint32, rows []uint32) ([][]profile.TimeRange, error) {
	out := make([][]profile.TimeRange, len(rows))
	look := func() (missing bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, n := range rows {
			gone, ok := r.known[rowsKey{partition, n}]
			out[i], missing = gone, missing || !ok
		}
		return missing
	}
	if !look() {
		return out, nil
	}
	// Somebody has the row series from elsewhere than from Select.
	if _, err := r.Select(ctx); err != nil {
		return nil, err
	}
	look()
	return out, nil
}

// Distant implements query.Distant.
func (r *remains) Distant() bool { return query.IsDistant(r.Queryable) }

// Scan implements query.Queryable.
func (r *remains) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	gone, err := r.gone(ctx, req.Partition, req.Rows)
	if err != nil {
		return err
	}
	var rows []uint32
	var times [][]profile.TimeRange // of rows
	filter := false
	for i, n := range req.Rows {
		if covered(gone[i], req.Range) {
			continue
		}
		rows, times = append(rows, n), append(times, gone[i])
		filter = filter || overlap(gone[i], req.Range)
	}
	if len(rows) == 0 {
		return nil
	}
	req.Rows = rows
	if !filter {
		return r.Queryable.Scan(ctx, req, fn)
	}
	at := 0
	return r.Queryable.Scan(ctx, req, func(row *query.Row) error {
		if rows[at] != row.Rows {
			at, _ = slices.BinarySearch(rows, row.Rows)
		}
		if contain(times[at], row.Time) {
			return nil
		}
		return fn(row)
	})
}

// Groups implements query.Summed.
func (r *remains) Groups(ctx context.Context, partition uint32) ([]query.Group, error) {
	if summed, ok := r.Queryable.(query.Summed); ok {
		return summed.Groups(ctx, partition)
	}
	return nil, nil
}

// ScanSums implements query.Summed. Where rows of the group may be deleted in
// the time asked for, the sums cannot be had: it returns false.
func (r *remains) ScanSums(ctx context.Context, partition uint32, g query.Group, in profile.TimeRange, fn func(*query.Row) error) (bool, error) {
	summed, ok := r.Queryable.(query.Summed)
	if !ok {
		return false, nil
	}
	gone, err := r.gone(ctx, partition, g.Rows)
	if err != nil || slices.ContainsFunc(gone, func(times []profile.TimeRange) bool { return overlap(times, in) }) {
		return false, err
	}
	return summed.ScanSums(ctx, partition, g, in, fn)
}

var (
	_ query.Summed = (*remains)(nil)
	_ query.Summed = growingRemains{}
	_ growing      = growingRemains{}
)
