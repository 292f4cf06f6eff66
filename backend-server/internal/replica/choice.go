package replica

import (
	"cmp"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
)

// Choice decides from which store each profile is taken. Stores are known by
// their index in the list that it was made from.
type Choice struct {
	stores  [][]Unit
	sources []ulid.ULID // by rank
	groups  []group
	order   []entryKey // of groups, as they were met
	open    []int      // groups in which sources differ
	settled []settled  // by group
}

// source is a database, as far as any store shows something of it.
type source struct {
	id     ulid.ULID
	store  int // the first that shows something of it
	weight int // entries
}

// group is all that there is of a series in a window.
type group struct {
	counter bool
	holders []holder // by rank of their sources
}

// holder is what one source has of it.
type holder struct {
	source int // rank
	at     []place
	reach  query.Reach // of a counter
	Digest
}

// place is an entry of a unit of a store.
type place struct {
	store int
	Ref
}

// settled is what was chosen of a group.
type settled struct {
	whole int // index of the holder of which all is taken
	// extra are IDs taken from others, by index of the holder; ascending.
	extra map[int][]uint64
	Digest
}

// NewChoice takes what the stores show, in the order in which data moves:
// ingesters before those who show the bucket.
func NewChoice(stores [][]Unit) *Choice {
	c := &Choice{stores: stores}
	units := c.distinct()
	ranks := c.rank(units)
	index := map[entryKey]int{}
	for _, u := range units {
		unit := &c.stores[u.store][u.Unit]
		for e, entry := range unit.Entries {
			key := entryKey{entry.Series, entry.Window}
			at, ok := index[key]
			if !ok {
				at = len(c.groups)
				index[key] = at
				c.groups = append(c.groups, group{})
				c.order = append(c.order, key)
			}
			g := &c.groups[at]
			g.counter = g.counter || entry.Counter
			h := g.holder(ranks[unit.Source])
			h.at = append(h.at, place{u.store, Ref{u.Unit, e}})
			h.merge(entry.Digest)
			if g.counter {
				h.reach.Merge(entry.Reach)
			}
		}
	}
	c.settle()
	return c
}

// distinct returns the units that count (C4), as places without an entry.
func (c *Choice) distinct() []place {
	present := map[ulid.ULID]bool{}
	for _, units := range c.stores {
		for i := range units {
			present[units[i].ID] = true
		}
	}
	var out []place
	taken := map[ulid.ULID]bool{}
	for s, units := range c.stores {
		for i := range units {
			u := &units[i]
			if taken[u.ID] || u.Parent != (ulid.ULID{}) && present[u.Parent] {
				continue
			}
			taken[u.ID] = true
			out = append(out, place{s, Ref{Unit: i}})
		}
	}
	return out
}

// rank orders the sources: those with more entries first, so that what can come
// from one comes from one; among equals those of earlier stores.
func (c *Choice) rank(units []place) map[ulid.ULID]int {
	var sources []*source
	byID := map[ulid.ULID]*source{}
	for _, u := range units {
		unit := &c.stores[u.store][u.Unit]
		s := byID[unit.Source]
		if s == nil {
			s = &source{id: unit.Source, store: u.store}
			byID[unit.Source] = s
			sources = append(sources, s)
		}
		s.weight += len(unit.Entries)
	}
	slices.SortStableFunc(sources, func(a, b *source) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.store, b.store), a.id.Compare(b.id))
	})
	ranks := make(map[ulid.ULID]int, len(sources))
	for i, s := range sources {
		ranks[s.id] = i
		c.sources = append(c.sources, s.id)
	}
	return ranks
}

// holder returns what a source has of the group, which is made if need be.
func (g *group) holder(source int) *holder {
	i, ok := slices.BinarySearchFunc(g.holders, source, func(h holder, s int) int { return cmp.Compare(h.source, s) })
	if !ok {
		g.holders = slices.Insert(g.holders, i, holder{source: source})
	}
	return &g.holders[i]
}

// settle chooses wherever sources agree.
func (c *Choice) settle() {
	c.settled = make([]settled, len(c.groups))
	counters := map[Series][]int{}
	var order []Series
	for i := range c.groups {
		g := &c.groups[i]
		c.settled[i].Digest = g.holders[0].Digest
		if g.counter {
			key := c.order[i].Series
			if counters[key] == nil {
				order = append(order, key)
			}
			counters[key] = append(counters[key], i)
		} else if g.differ() {
			c.open = append(c.open, i)
		}
	}
	for _, key := range order {
		if windows := counters[key]; c.disputed(windows) {
			c.open = append(c.open, windows...)
		}
	}
}

// differ reports whether sources say different things of the group.
func (g *group) differ() bool {
	return slices.ContainsFunc(g.holders, func(h holder) bool { return h.Digest != g.holders[0].Digest })
}

// Ask returns the entries, by store, whose rows have to be known. If there are
// none the choice is made.
func (c *Choice) Ask() [][]Ref {
	var out [][]Ref
	if len(c.open) == 0 {
		return nil
	}
	out = make([][]Ref, len(c.stores))
	for _, i := range c.open {
		for _, h := range c.groups[i].holders {
			for _, at := range h.at {
				out[at.store] = append(out[at.store], at.Ref)
			}
		}
	}
	return out
}

// Tell takes the rows asked for, by store and in the order of Ask.
func (c *Choice) Tell(rows [][][]Row) {
	next := make([]int, len(c.stores))
	counters := map[Series][]disputed{}
	var series []Series
	for _, i := range c.open {
		d := disputed{group: i, rows: make([][]Row, len(c.groups[i].holders))}
		for n, h := range c.groups[i].holders {
			for _, at := range h.at {
				d.rows[n] = append(d.rows[n], rows[at.store][next[at.store]]...)
				next[at.store]++
			}
		}
		if !c.groups[i].counter {
			c.unite(d)
			continue
		}
		key := c.order[i].Series
		if counters[key] == nil {
			series = append(series, key)
		}
		counters[key] = append(counters[key], d)
	}
	for _, s := range series {
		c.uniteCounter(counters[s])
	}
	c.open = nil
}

// disputed is a group with the rows of its holders.
type disputed struct {
	group int
	rows  [][]Row
}

// most returns the index of the longest list.
func most(rows [][]Row) int {
	best := 0
	for i := range rows {
		if len(rows[i]) > len(rows[best]) {
			best = i
		}
	}
	return best
}

// unite takes all of the source that has most, and of others what is missing.
func (c *Choice) unite(d disputed) {
	s := settled{whole: most(d.rows), extra: map[int][]uint64{}}
	have := map[uint64]bool{}
	for _, r := range d.rows[s.whole] {
		have[r.ID] = true
		s.add(r.ID, r.Total)
	}
	for n, rows := range d.rows {
		for _, r := range rows {
			if !have[r.ID] {
				have[r.ID] = true
				s.extra[n] = append(s.extra[n], r.ID)
				s.add(r.ID, r.Total)
			}
		}
		slices.Sort(s.extra[n])
	}
	c.settled[d.group] = s
}

// Picks returns what was chosen, by store. Tell must have been called if Ask
// had something to ask.
func (c *Choice) Picks() [][]Pick {
	entries := make([]map[int][]EntryPick, len(c.stores))
	take := func(at place, ids []uint64) {
		if entries[at.store] == nil {
			entries[at.store] = map[int][]EntryPick{}
		}
		entries[at.store][at.Unit] = append(entries[at.store][at.Unit], EntryPick{at.Entry, ids})
	}
	for i, s := range c.settled {
		if s.whole >= 0 {
			for _, at := range c.groups[i].holders[s.whole].at {
				take(at, nil)
			}
		}
		for n, ids := range s.extra {
			for _, at := range c.groups[i].holders[n].at {
				if len(ids) > 0 {
					take(at, ids)
				}
			}
		}
	}
	out := make([][]Pick, len(c.stores))
	for s, units := range entries {
		for u := range c.stores[s] {
			picks := units[u]
			if len(picks) == 0 {
				continue
			}
			slices.SortFunc(picks, func(a, b EntryPick) int { return cmp.Compare(a.Entry, b.Entry) })
			all := len(picks) == len(c.stores[s][u].Entries) && !slices.ContainsFunc(picks, func(p EntryPick) bool { return p.IDs != nil })
			if all {
				picks = nil
			}
			out[s] = append(out[s], Pick{Unit: u, All: all, Entries: picks})
		}
	}
	return out
}

// Profiles returns how many profiles were chosen and how many there were to
// choose from, each sample type counted by itself.
func (c *Choice) Profiles() (chosen, shown uint64) {
	for i := range c.groups {
		chosen += c.settled[i].Count
		for _, h := range c.groups[i].holders {
			shown += h.Count
		}
	}
	return chosen, shown
}

// Version returns what stands for the profiles chosen: two halves of 64 bits. It
// does not depend on where they lie.
func (c *Choice) Version() (hi, lo uint64) {
	for i, key := range c.order {
		s := &c.settled[i]
		if s.Count == 0 { // shown, but nothing of it was chosen
			continue
		}
		x := mix(key.Hi ^ mix(uint64(key.window)))
		hi += mix(x ^ mix(s.Sum) + s.Count)
		lo += mix(key.Lo ^ mix(x+s.Sum) ^ s.Count)
	}
	if hi == 0 && lo == 0 {
		lo = 1 // no data is a version too
	}
	return hi, lo
}
