package query

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// ServiceCount is how many profiles of a service there are.
type ServiceCount struct {
	Service string
	// Profiles counts rows: a profile of several sample types counts once for
	// all that are proportional, and once for each other.
	Profiles    uint64
	First, Last profile.UnixMilli // their times
	// Series are stable hashes of the labels of the series that they are of,
	// ascending. Those of several units can be told to be the same.
	Series []uint64
}

// Count counts the profiles in r of the series that all matchers match.
func Count(ctx context.Context, qs []Queryable, matchers []*labels.Matcher, r profile.TimeRange) ([]ServiceCount, error) {
	parts, err := each(ctx, overlapping(qs, r), func(ctx context.Context, q Queryable) ([]ServiceCount, error) {
		series, err := q.Select(ctx, matchers...)
		if err != nil {
			return nil, err
		}
		var out []ServiceCount
		for _, p := range makePlans(series) { // sorts series, by partition first
			n, _ := slices.BinarySearchFunc(series, p.partition+1, func(s Series, i uint32) int { return cmp.Compare(s.Partition, i) })
			c, err := p.count(ctx, q, series[:n], r)
			if err != nil {
				return nil, err
			}
			series, out = series[n:], append(out, c)
		}
		return out, nil
	})
	if err != nil {
		return nil, err
	}
	return MergeCounts(slices.Concat(parts...)), nil
}

// count counts the rows of one partition, which has the given series.
func (p *plan) count(ctx context.Context, q Queryable, series []Series, r profile.TimeRange) (ServiceCount, error) {
	out := ServiceCount{Service: p.service}
	seen := map[uint32]bool{} // row series
	req := p.request(r)
	req.TotalsOnly = true
	err := q.Scan(ctx, req, func(row *Row) error {
		if out.Profiles == 0 {
			out.First, out.Last = row.Time, row.Time
		}
		out.Profiles++
		out.First, out.Last = min(out.First, row.Time), max(out.Last, row.Time)
		seen[row.Rows] = true
		return nil
	})
	for _, s := range series {
		if seen[s.Rows] {
			out.Series = append(out.Series, labels.StableHash(s.Labels))
		}
	}
	return out, err
}

// MergeCounts makes one count of those of each service, by service. It may
// change the list and what it holds; services without profiles are left out.
func MergeCounts(counts []ServiceCount) []ServiceCount {
	counts = slices.DeleteFunc(counts, func(c ServiceCount) bool { return c.Profiles == 0 })
	slices.SortStableFunc(counts, func(a, b ServiceCount) int { return strings.Compare(a.Service, b.Service) })
	out := counts[:0]
	for _, c := range counts {
		if n := len(out); n > 0 && out[n-1].Service == c.Service {
			o := &out[n-1]
			o.Profiles += c.Profiles
			o.First, o.Last = min(o.First, c.First), max(o.Last, c.Last)
			o.Series = append(o.Series, c.Series...)
		} else {
			c.Series = slices.Clone(c.Series) // what was given may still be merged elsewhere
			out = append(out, c)
		}
	}
	for i := range out {
		slices.Sort(out[i].Series)
		out[i].Series = slices.Compact(out[i].Series)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
