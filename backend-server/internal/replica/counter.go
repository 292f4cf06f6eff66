package replica

import (
	"cmp"
	"math"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// reach is a row of a counter with the time of the profile before it in its
// source: its value is what the totals grew by between the two. The end is
// included.
type reach struct {
	group  int // index in the list of disputed
	holder int // in that group
	after  profile.UnixMilli
	Row
}

// uniteCounter settles all windows of a counter. Sources are taken in turn, the
// one with most rows first, and of each the rows that reach into nothing that
// was taken before. Where the first row of a source begins is not known, it may
// be long before the question: such rows come last, and reach into everything
// before them.
func (c *Choice) uniteCounter(groups []disputed) {
	bySource := map[int][]reach{}
	for i, d := range groups {
		for n, rows := range d.rows {
			source := c.groups[d.group].holders[n].source
			for _, r := range rows {
				bySource[source] = append(bySource[source], reach{i, n, 0, r})
			}
		}
	}
	sources := make([]int, 0, len(bySource))
	for s, rows := range bySource {
		sources = append(sources, s)
		slices.SortFunc(rows, func(a, b reach) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID)) })
		before := profile.UnixMilli(math.MinInt64)
		for i := range rows {
			rows[i].after, before = before, rows[i].Time
		}
	}
	slices.SortFunc(sources, func(a, b int) int {
		return cmp.Or(cmp.Compare(len(bySource[b]), len(bySource[a])), cmp.Compare(a, b))
	})
	var taken []reach
	for _, s := range sources {
		taken = add(taken, bySource[s][1:])
	}
	for _, s := range sources {
		taken = add(taken, bySource[s][:1])
	}
	c.takeRows(groups, taken)
}

// add adds those rows of a source to what is taken, sorted by time, that are
// free.
func add(taken, rows []reach) []reach {
	out := slices.Clone(taken)
	for _, r := range rows {
		if free(taken, r) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b reach) int { return cmp.Compare(a.Time, b.Time) })
	return out
}

// free reports whether r reaches into none of what is taken, sorted by time.
func free(taken []reach, r reach) bool {
	// The first one that ends behind the begin of r is the only one that can
	// begin before r's end: what is taken does not overlap.
	i, _ := slices.BinarySearchFunc(taken, r.after+1, func(t reach, end profile.UnixMilli) int { return cmp.Compare(t.Time, end) })
	return i == len(taken) || taken[i].after >= r.Time
}

// takeRows settles groups by the rows that are taken of them.
func (c *Choice) takeRows(groups []disputed, taken []reach) {
	for _, d := range groups {
		c.settled[d.group] = settled{whole: -1, extra: map[int][]uint64{}}
	}
	for _, r := range taken {
		s := &c.settled[groups[r.group].group]
		s.extra[r.holder] = append(s.extra[r.holder], r.ID)
		s.add(r.ID, r.Total)
	}
	for _, d := range groups {
		for _, ids := range c.settled[d.group].extra {
			slices.Sort(ids)
		}
	}
}
