package replica

import (
	"cmp"
	"math"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
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

// disputed reports whether the rows of a counter have to be known: where sources
// differ, or where the rows of a window may reach into those before it. No row
// does that where a source has both windows; nor where the first one begins when
// the last one before has ended.
func (c *Choice) disputed(windows []int) bool {
	windows = slices.Clone(windows)
	slices.SortFunc(windows, func(a, b int) int { return cmp.Compare(c.order[a].window, c.order[b].window) })
	for n, i := range windows {
		g := &c.groups[i]
		if g.differ() {
			return true
		}
		if n > 0 && !g.follows(&c.groups[windows[n-1]]) {
			return true
		}
	}
	return false
}

// follows reports whether the rows of a group certainly do not reach into those
// of a group of earlier times. In each, all holders have the same rows; of the
// begins that these have in several, the latest counts, see chains.
func (g *group) follows(before *group) bool {
	begin, end := profile.UnixMilli(math.MinInt64), profile.UnixMilli(math.MinInt64)
	for _, h := range g.holders {
		if slices.ContainsFunc(before.holders, func(b holder) bool { return b.source == h.source }) {
			return true
		}
		begin = max(begin, h.reach.Begin)
	}
	for _, h := range before.holders {
		end = max(end, h.reach.End)
	}
	return begin >= end && begin > math.MinInt64
}

// chain is the rows of a counter that one source has, in order of time.
type chain struct {
	source ulid.ULID
	rows   []reach
}

// uniteCounter settles all windows of a counter. Sources are taken in turn, the
// one with most rows first, and of each the rows that reach into nothing that was
// taken before; then what is taken is refined. Where a row begins that nobody knows the begin of, it may be long
// before the question: such rows come last, and reach into everything before
// them.
func (c *Choice) uniteCounter(groups []disputed) {
	chains := c.chains(groups)
	var taken, last []reach
	for _, ch := range chains {
		known := make([]reach, 0, len(ch.rows))
		for _, r := range ch.rows {
			if r.after == math.MinInt64 {
				last = append(last, r)
			} else {
				known = append(known, r)
			}
		}
		taken = add(taken, known)
	}
	for _, r := range last {
		taken = add(taken, []reach{r})
	}
	c.takeRows(groups, refine(taken, chains))
}

// refine takes, in the place of a row, those of a source that has seen profiles in
// between, if they say at least as much: beside other rows, which may come to be
// known later, they find room where the one row does not.
func refine(taken []reach, chains []*chain) []reach {
	var out []reach
	for _, r := range taken {
		best, sum := []reach{r}, r.Total
		for _, ch := range chains {
			if rows := ch.within(r); len(rows) > 1 {
				total := int64(0)
				for _, part := range rows {
					total, _ = profile.AddSaturating(total, part.Total)
				}
				if total > sum || total == sum && len(rows) > len(best) {
					best, sum = rows, total
				}
			}
		}
		out = append(out, best...)
	}
	return out
}

// within returns the rows whose growth lies in that of r. None of them overlap.
func (ch *chain) within(r reach) []reach {
	first, _ := slices.BinarySearchFunc(ch.rows, r.after, func(o reach, t profile.UnixMilli) int { return cmp.Compare(o.Time, t) })
	var out []reach
	for _, o := range ch.rows[first:] {
		if o.Time > r.Time {
			break
		}
		if o.after >= r.after && (len(out) == 0 || o.after >= out[len(out)-1].Time) {
			out = append(out, o)
		}
	}
	return out
}

// chains sorts the rows by source.
func (c *Choice) chains(groups []disputed) []*chain {
	var out []*chain
	bySource := map[ulid.ULID]*chain{}
	for i, d := range groups {
		for n, rows := range d.rows {
			source := c.sources[c.groups[d.group].holders[n].source]
			ch := bySource[source]
			if ch == nil {
				ch = &chain{source: source}
				bySource[source] = ch
				out = append(out, ch)
			}
			for _, r := range rows {
				ch.rows = append(ch.rows, reach{i, n, 0, r})
			}
		}
	}
	// What a profile adds is the same whichever source says it: of equal rows the
	// one that reaches least far counts, for what came between is nothing then.
	after := map[Row]profile.UnixMilli{}
	for _, ch := range out {
		slices.SortStableFunc(ch.rows, func(a, b reach) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID)) })
		before := profile.UnixMilli(math.MinInt64)
		for i := range ch.rows {
			r := &ch.rows[i]
			r.after = r.begin(before)
			before = r.Time
			if known, ok := after[r.sameness()]; !ok || known < r.after {
				after[r.sameness()] = r.after
			}
		}
	}
	for _, ch := range out {
		for i := range ch.rows {
			ch.rows[i].after = after[ch.rows[i].sameness()]
		}
	}
	slices.SortFunc(out, func(a, b *chain) int {
		return cmp.Or(cmp.Compare(len(b.rows), len(a.rows)), cmp.Compare(a.length(), b.length()), a.source.Compare(b.source))
	})
	return out
}

// length is how long the rows reach, all together. Of as many rows the shorter
// ones are of a source that has seen more profiles.
func (ch *chain) length() float64 {
	sum := 0.0
	for _, r := range ch.rows {
		sum += float64(r.Time) - float64(r.after)
	}
	return sum
}

// begin returns when the growth of the row began. Blocks of earlier versions do
// not say so; then it was not before the row before it in its source, since no
// two rows of a source are about the same time.
func (r *reach) begin(before profile.UnixMilli) profile.UnixMilli {
	if r.Since == 0 {
		return before
	}
	return query.ReachOf(r.Time, r.Since).Begin
}

// sameness is equal for rows that say the same of the same profile.
func (r *reach) sameness() Row {
	out := r.Row
	out.Since = 0
	return out
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
