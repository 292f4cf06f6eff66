package query

import (
	"context"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// summing is a group of row series of which sums are taken for some windows.
type summing struct {
	group Group
	uses  []rowUse
	in    profile.TimeRange // the windows
	edges []reading         // what is left to be read of the group
}

// windows begins to sum a part with what has been summed in advance: groups of
// row series of which all are selected, for the windows that lie in the range.
// It returns what is left to be read row by row.
func (r *reader) windows(ctx context.Context, p *part) (*stackSums, []reading, error) {
	list, left, err := r.summable(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	sums := r.sums()
	var rest []reading
	var summed []profile.TimeRange
	for _, s := range list {
		done, err := r.scanSums(ctx, p, s, sums)
		if err != nil {
			return nil, nil, err
		}
		if !done {
			rest = append(rest, reading{s.uses, r.sel.Range})
			continue
		}
		summed = append(summed, s.in)
		rest = append(rest, s.edges...)
	}
	if beyond(summed, r.sel.Range, p.unit.TimeRange()) {
		sums.release()
		return r.sums(), []reading{{p.uses, r.sel.Range}}, nil
	}
	return sums, append(rest, reading{left, r.sel.Range}), nil
}

// summable finds the groups that sums can be taken of, and the row series of
// the others.
func (r *reader) summable(ctx context.Context, p *part) (list []summing, left []rowUse, err error) {
	unit, ok := p.unit.(Summed)
	if !ok || r.sel.Spans != nil || r.sel.ProfileIDs != nil {
		return nil, p.uses, nil
	}
	groups, err := unit.Groups(ctx, p.partition)
	if err != nil {
		return nil, nil, err
	}
	has, distant := unit.TimeRange(), IsDistant(unit)
	left = p.uses
	for _, g := range groups {
		uses, others, whole := take(left, g.Rows)
		if !whole || g.Step <= 0 {
			continue
		}
		middle, ok := align(r.sel.Range, has, g.Step)
		if !ok {
			continue
		}
		s := summing{group: g, uses: uses, in: middle}
		for _, edge := range around(r.sel.Range, middle) {
			if edge.Overlaps(has) {
				s.edges = append(s.edges, reading{uses, edge})
			}
		}
		if distant && len(s.edges) > 0 && middle.End-middle.Start < DigestWindow {
			continue // what is read for the edges holds most of the middle
		}
		list, left = append(list, s), others
	}
	return list, left, nil
}

// scanSums adds the sums of a group, or returns false if it has none any more.
func (r *reader) scanSums(ctx context.Context, p *part, s summing, into *stackSums) (bool, error) {
	return p.unit.(Summed).ScanSums(ctx, p.partition, s.group, s.in, func(row *Row) error {
		if err := into.check(ctx, len(row.Stacks)); err != nil {
			return err
		}
		return into.addRow(row, s.uses[0])
	})
}

// take splits uses, which are in ascending order like rows, into those of the
// given rows and the others. It fails if not all rows are used, and all in the
// same way.
func take(uses []rowUse, rows []uint32) (taken, others []rowUse, ok bool) {
	if len(rows) == 0 || len(rows) > len(uses) {
		return nil, nil, false
	}
	for _, u := range uses {
		if len(taken) == len(rows) || u.rows != rows[len(taken)] {
			others = append(others, u)
			continue
		}
		if len(taken) > 0 && (u.base != taken[0].base || u.scaled != taken[0].scaled) {
			return nil, nil, false
		}
		taken = append(taken, u)
	}
	return taken, others, len(taken) == len(rows)
}

// align returns the windows of the given step that hold nothing of a unit with
// profiles in has that lies outside of r. Where r reaches to the end of the
// unit's profiles, the last window counts although r may end within it.
func align(r, has profile.TimeRange, step profile.UnixMilli) (profile.TimeRange, bool) {
	if has.Start > has.End {
		return profile.TimeRange{}, false
	}
	begin, end := floor(r.Start+step-1, step), floor(r.End+1, step)
	if r.Start <= has.Start {
		begin = floor(has.Start, step)
	}
	if r.End >= has.End {
		end = floor(has.End, step) + step
	}
	return profile.TimeRange{Start: begin, End: end - 1}, begin < end
}

// floor returns the largest multiple of step that is not above t.
func floor(t, step profile.UnixMilli) profile.UnixMilli {
	m := t % step
	if m < 0 {
		m += step
	}
	return t - m
}

// around returns what of r lies before and after middle.
func around(r, middle profile.TimeRange) (out []profile.TimeRange) {
	if r.Start < middle.Start {
		out = append(out, profile.TimeRange{Start: r.Start, End: min(r.End, middle.Start-1)})
	}
	if r.End > middle.End {
		out = append(out, profile.TimeRange{Start: max(r.Start, middle.End+1), End: r.End})
	}
	return out
}

// beyond reports whether windows that reach out of r may hold profiles that lie
// out of r: a head may have got some after its range was looked at.
func beyond(windows []profile.TimeRange, r, has profile.TimeRange) bool {
	for _, w := range windows {
		if w.Start < r.Start && has.Start < r.Start || w.End > r.End && has.End > r.End {
			return true
		}
	}
	return false
}
