package deletion

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Listed is Over for those who list series of a range, all times if it is zero,
// and read no rows. Select takes the pains to find out whether anything of a
// series is left: a service of which all was deleted a minute ago would else be
// listed as long as its unit has rows of others that are younger.
func (rs Rules) Listed(units []query.Queryable, in profile.TimeRange) []query.Queryable {
	if len(rs) == 0 {
		return units
	}
	if in == (profile.TimeRange{}) {
		in = profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}
	}
	out := rs.Over(units)
	for i, u := range out {
		switch u := u.(type) {
		case *remains:
			out[i] = &listed{u, in}
		case growingRemains:
			out[i] = &listed{u.remains, in}
		}
	}
	return out
}

type listed struct {
	*remains
	in profile.TimeRange
}

// Select implements query.Queryable: the series of which anything is left in the
// range. Those that no rule concerns are not looked at.
func (l *listed) Select(ctx context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	series, err := l.remains.Select(ctx, matchers...)
	if err != nil {
		return nil, err
	}
	has := l.Queryable.TimeRange()
	in := profile.TimeRange{Start: max(l.in.Start, has.Start), End: min(l.in.End, has.End)}
	doubtful := map[uint32][]uint32{} // row series by partition
	l.mu.Lock()
	for i := range series {
		if s := &series[i]; overlap(l.learn(s), has) {
			doubtful[s.Partition] = append(doubtful[s.Partition], s.Rows)
		}
	}
	l.mu.Unlock()
	empty := map[rowsKey]bool{}
	for partition, rows := range doubtful {
		slices.Sort(rows)
		rows = slices.Compact(rows)
		left, err := l.left(ctx, partition, rows, in)
		if err != nil {
			return nil, err
		}
		for _, n := range rows {
			empty[rowsKey{partition, n}] = !left[n]
		}
	}
	return slices.DeleteFunc(series, func(s query.Series) bool { return empty[rowsKey{s.Partition, s.Rows}] }), nil
}

var errFound = errors.New("found")

// left tells which row series have rows left in a range; where digests tell,
// those that lie in the same hours count too.
func (l *listed) left(ctx context.Context, partition uint32, rows []uint32, in profile.TimeRange) (map[uint32]bool, error) {
	out := make(map[uint32]bool, len(rows))
	digests, ok, err := l.Digests(ctx, partition, rows)
	if err != nil {
		return nil, err
	}
	for _, d := range digests {
		out[d.Rows] = out[d.Rows] || query.WindowRange(d.Window).Overlaps(in)
	}
	if ok {
		return out, nil
	}
	for i, n := range rows {
		req := query.ScanRequest{Partition: partition, Rows: rows[i : i+1], Range: in, TotalsOnly: true}
		err := l.Scan(ctx, req, func(*query.Row) error { return errFound })
		if err != nil && !errors.Is(err, errFound) {
			return nil, err
		}
		out[n] = err != nil
	}
	return out, nil
}
