package replica

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Pick returns units that show what was chosen, and nothing else, to the
// question that the snapshot was taken for.
func (s *Snapshot) Pick(picks []Pick) ([]query.Queryable, error) {
	var out []query.Queryable
	for _, p := range picks {
		if p.Unit < 0 || p.Unit >= len(s.units) {
			return nil, fault.New(fault.Invalid, "unit %d is picked; there are %d", p.Unit, len(s.units))
		}
		q, err := s.units[p.Unit].pick(p)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// How much of a part or a row series was chosen.
const (
	none = iota
	some
	whole
)

// picked is what was chosen of a unit. It is a query.Summed if that is
// immutable, as far as whole row series were chosen.
type picked struct {
	*unit
	series []query.Series
	chosen []choice        // by part
	rows   map[rowsKey]int // how much of a row series
}

// choice is what was chosen of a part.
type choice struct {
	much int
	ids  []uint64 // if some; ascending
}

func (u *unit) pick(p Pick) (query.Queryable, error) {
	if p.All && !u.growing {
		return u.Queryable, nil
	}
	byEntry := make([]choice, len(u.entries))
	for i := range byEntry {
		if p.All {
			byEntry[i].much = whole
		}
	}
	for _, e := range p.Entries {
		switch {
		case e.Entry < 0 || e.Entry >= len(u.entries):
			return nil, fault.New(fault.Invalid, "entry %d of unit %d is picked; there are %d", e.Entry, p.Unit, len(u.entries))
		case e.IDs == nil:
			byEntry[e.Entry] = choice{much: whole}
		default:
			byEntry[e.Entry] = choice{some, e.IDs}
		}
	}
	out := &picked{unit: u, chosen: make([]choice, len(u.parts)), rows: map[rowsKey]int{}}
	for i, p := range u.parts {
		c := choice{}
		for _, e := range p.entries {
			c = c.or(byEntry[e])
		}
		out.chosen[i] = c
		much, seen := out.rows[p.rowsKey]
		if seen && much != c.much {
			c.much = some
		}
		out.rows[p.rowsKey] = c.much
	}
	for _, s := range u.series {
		if out.rows[rowsKey{s.Partition, s.Rows}] != none {
			out.series = append(out.series, s)
		}
	}
	return out, nil
}

// or is for rows that are those of two series.
func (c choice) or(o choice) choice {
	if c.much == whole || o.much == none {
		return c
	}
	if o.much == whole || c.much == none {
		return o
	}
	ids := slices.Concat(c.ids, o.ids)
	slices.Sort(ids)
	return choice{some, slices.Compact(ids)}
}

func (c choice) has(id uint64) bool {
	if c.much == some {
		_, ok := slices.BinarySearch(c.ids, id)
		return ok
	}
	return c.much == whole
}

// Select implements query.Queryable: the series of the snapshot of which
// anything was chosen. The matchers are those that it was taken with.
func (p *picked) Select(context.Context, ...*labels.Matcher) ([]query.Series, error) {
	return slices.Clone(p.series), nil
}

// Scan implements query.Queryable.
func (p *picked) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	return p.scan(ctx, req, func(row *query.Row, part int) error {
		if p.chosen[part].has(row.ID) {
			return fn(row)
		}
		return nil
	})
}

// Groups implements query.Summed: the groups of which all rows were chosen. The
// sums of a unit that grows may hold more than the snapshot.
func (p *picked) Groups(ctx context.Context, partition uint32) ([]query.Group, error) {
	summed, ok := p.Queryable.(query.Summed)
	if !ok || p.growing {
		return nil, nil
	}
	groups, err := summed.Groups(ctx, partition)
	if err != nil {
		return nil, err
	}
	// Not in place: the unit may keep the list.
	var out []query.Group
	for _, g := range groups {
		if !slices.ContainsFunc(g.Rows, func(rows uint32) bool { return p.rows[rowsKey{partition, rows}] != whole }) {
			out = append(out, g)
		}
	}
	return out, nil
}

// ScanSums implements query.Summed.
func (p *picked) ScanSums(ctx context.Context, partition uint32, g query.Group, r profile.TimeRange, fn func(*query.Row) error) (bool, error) {
	if summed, ok := p.Queryable.(query.Summed); ok {
		return summed.ScanSums(ctx, partition, g, r, fn)
	}
	return false, nil
}

var _ query.Summed = (*picked)(nil)
