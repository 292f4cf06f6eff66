package replica

import (
	"cmp"
	"math"
	"slices"

	"github.com/oklog/ulid/v2"

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

// descend notes which databases the rows of an entry are those of: the source
// itself, and those whose rows the unit's are.
func (h *holder) descend(u *Unit, mask uint64) {
	own := []ulid.ULID{u.Source}
	for i, id := range u.Lineage {
		if mask>>i&1 != 0 {
			own = append(own, id)
		}
	}
	if h.lineage == nil {
		h.lineage = own
		return
	}
	h.lineage = slices.DeleteFunc(h.lineage, func(id ulid.ULID) bool { return !slices.Contains(own, id) })
}

func meet(a, b []ulid.ULID) bool {
	return slices.ContainsFunc(a, func(id ulid.ULID) bool { return slices.Contains(b, id) })
}

// disputed reports whether the rows of a counter have to be known: where sources
// differ, or where no database is known to have the rows of a window and those
// of the next one. What one window takes from whom bears upon the others then: a
// row of one source may reach into a window that another was chosen for.
func (c *Choice) disputed(windows []int) bool {
	windows = slices.Clone(windows)
	slices.SortFunc(windows, func(a, b int) int { return cmp.Compare(c.order[a].window, c.order[b].window) })
	var before []ulid.ULID
	for n, i := range windows {
		g := &c.groups[i]
		if g.differ() {
			return true
		}
		var all []ulid.ULID // databases with these rows
		for _, h := range g.holders {
			all = append(all, h.lineage...)
		}
		if n > 0 && !meet(before, all) {
			return true
		}
		before = all
	}
	return false
}

// Lineage returns, for each counter, the databases each of which has had exactly
// the rows that were chosen.
func (c *Choice) Lineage() map[Series][]ulid.ULID {
	out := map[Series][]ulid.ULID{}
	for i := range c.groups {
		g := &c.groups[i]
		if !g.counter {
			continue
		}
		all := slices.Clone(c.settled[i].agree)
		if c.settled[i].extra == nil { // all sources say the same
			for _, h := range g.holders {
				all = append(all, h.lineage...)
			}
		}
		key := c.order[i].Series
		if known, ok := out[key]; ok {
			all = slices.DeleteFunc(known, func(id ulid.ULID) bool { return !slices.Contains(all, id) })
		}
		slices.SortFunc(all, ulid.ULID.Compare)
		out[key] = slices.Compact(all)
	}
	return out
}

// chain is the rows of a counter that one database had, in order of time, as far
// as anybody shows them.
type chain struct {
	database ulid.ULID
	rows     []reach
}

// uniteCounter settles all windows of a counter. Databases are taken in turn,
// the one with most rows first, and of each the rows that reach into nothing
// that was taken before. Where the first row of a database begins is not known,
// it may be long before the question: such rows come last, and reach into
// everything before them.
func (c *Choice) uniteCounter(groups []disputed) {
	chains := c.chains(groups)
	var taken, last []reach
	for _, ch := range chains {
		for _, r := range ch.rows {
			if r.after == math.MinInt64 {
				last = append(last, r)
			}
		}
		taken = add(taken, slices.DeleteFunc(slices.Clone(ch.rows), func(r reach) bool { return r.after == math.MinInt64 }))
	}
	for _, r := range last {
		taken = add(taken, []reach{r})
	}
	c.takeRows(groups, taken)
	for _, ch := range chains {
		c.agree(groups, ch)
	}
}

// chains sorts the rows by database: a row that several have had is in several
// chains.
func (c *Choice) chains(groups []disputed) []*chain {
	var out []*chain
	byID := map[ulid.ULID]*chain{}
	for i, d := range groups {
		for n, rows := range d.rows {
			for _, id := range c.groups[d.group].holders[n].lineage {
				ch := byID[id]
				if ch == nil {
					ch = &chain{database: id}
					byID[id] = ch
					out = append(out, ch)
				}
				for _, r := range rows {
					ch.rows = append(ch.rows, reach{i, n, 0, r})
				}
			}
		}
	}
	// A row reaches to the row before it in its database. Where a chain lacks
	// rows it seems to reach further than it does, so of equal rows the nearest
	// one counts.
	after := map[Row]profile.UnixMilli{}
	for _, ch := range out {
		slices.SortStableFunc(ch.rows, func(a, b reach) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID)) })
		ch.rows = slices.CompactFunc(ch.rows, func(a, b reach) bool { return a.Row == b.Row })
		before := profile.UnixMilli(math.MinInt64)
		for _, r := range ch.rows {
			if known, ok := after[r.Row]; !ok || known < before {
				after[r.Row] = before
			}
			before = r.Time
		}
	}
	for _, ch := range out {
		for i := range ch.rows {
			ch.rows[i].after = after[ch.rows[i].Row]
		}
	}
	slices.SortFunc(out, func(a, b *chain) int {
		return cmp.Or(cmp.Compare(len(b.rows), len(a.rows)), a.database.Compare(b.database))
	})
	return out
}

// agree notes in which windows a database has had just the rows that are taken.
func (c *Choice) agree(groups []disputed, ch *chain) {
	digests := map[int]*Digest{}
	for _, r := range ch.rows {
		if digests[r.group] == nil {
			digests[r.group] = new(Digest)
		}
		digests[r.group].add(r.ID, r.Total)
	}
	for g, d := range digests {
		if s := &c.settled[groups[g].group]; s.Digest == *d {
			s.agree = append(s.agree, ch.database)
		}
	}
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
