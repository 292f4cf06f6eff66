package deletion_test

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// unit is rows of one partition in memory. Row series 2n and 2n+1 have the
// labels of pod n; each is shared by two series that differ in their type.
type unit struct {
	rows   []query.Row // in the order in which they were added
	pods   int
	grows  bool
	asked  []query.ScanRequest
	digest bool
}

const step = query.SumWindow

func newUnit(rng *rand.Rand) *unit {
	u := &unit{pods: 1 + rng.IntN(4), digest: rng.IntN(2) == 0}
	for range rng.IntN(60) {
		u.add(rng)
	}
	return u
}

func (u *unit) add(rng *rand.Rand) {
	u.rows = append(u.rows, query.Row{
		Rows: uint32(rng.IntN(2 * u.pods)), Time: profile.UnixMilli(rng.Int64N(10 * int64(step))),
		ID: rng.Uint64(), Total: 1, Unit: 1, N: 1, Stacks: []uint32{uint32(rng.IntN(3))}, Values: []int64{1},
	})
}

func (u *unit) Origin() query.Origin { return query.Origin{ID: ulid.ULID{7}} }

func (u *unit) TimeRange() profile.TimeRange {
	r := profile.TimeRange{Start: 1 << 62, End: -1 << 62}
	for _, row := range u.rows {
		r.Start, r.End = min(r.Start, row.Time), max(r.End, row.Time)
	}
	return r
}

func labelsOf(rows uint32, typ string) labels.Labels {
	return labels.FromStrings(
		profile.LabelName, "cpu", profile.LabelServiceName, "api", "pod", string(rune('a'+rows/2)), "half", string(rune('0'+rows%2)), profile.LabelType, typ)
}

func (u *unit) Select(_ context.Context, ms ...*labels.Matcher) (out []query.Series, _ error) {
	for _, n := range u.present() {
		for _, typ := range []string{"samples", "cpu"} {
			ls := labelsOf(n, typ)
			if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) }) {
				out = append(out, query.Series{Labels: ls, Rows: n, Scaled: typ == "cpu"})
			}
		}
	}
	return out, nil
}

// present returns the row series that have rows, ascending.
func (u *unit) present() (out []uint32) {
	for _, row := range u.rows {
		out = append(out, row.Rows)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (u *unit) Symbols(context.Context, uint32) (*symbols.Table, error) { return nil, nil }

func (u *unit) Scan(_ context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	u.asked = append(u.asked, req)
	for _, n := range req.Rows {
		for i := range u.rows {
			if u.rows[i].Rows == n && req.Range.Contains(u.rows[i].Time) {
				if err := fn(&u.rows[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (u *unit) Groups(context.Context, uint32) ([]query.Group, error) {
	return []query.Group{{Rows: u.present(), Step: step}}, nil
}

func (u *unit) ScanSums(_ context.Context, _ uint32, g query.Group, r profile.TimeRange, fn func(*query.Row) error) (bool, error) {
	if !slices.Equal(g.Rows, u.present()) {
		return false, nil
	}
	for i := range u.rows {
		if r.Contains(u.rows[i].Time) {
			sum := u.rows[i]
			sum.Rows, sum.Time = 0, sum.Time-sum.Time%step
			if err := fn(&sum); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

func (u *unit) Digests(_ context.Context, _ uint32, rows []uint32) (out []query.RowsDigest, ok bool, _ error) {
	if !u.digest {
		return nil, false, nil
	}
	for _, n := range rows {
		for w := int64(0); w <= query.WindowOf(10*step); w++ {
			d := query.RowsDigest{Rows: n, Window: w}
			for _, row := range u.rows {
				if row.Rows == n && query.WindowOf(row.Time) == w {
					d.Add(row.ID, row.Total)
				}
			}
			if d.Count > 0 {
				out = append(out, d)
			}
		}
	}
	return out, true, nil
}

// head is a unit that may grow.
type head struct{ *unit }

func (h head) Growing() bool { return h.grows }
