package replica_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// total is a running total at some time.
type total struct {
	id    uint64
	time  profile.UnixMilli
	value int64
}

// life is what a counter counted, over some hours; now and then nothing.
func life(rng *rand.Rand) []total {
	var out []total
	t, v := profile.UnixMilli(rng.IntN(replica.Window)), int64(rng.IntN(100))
	for i := range 2 + rng.IntN(30) {
		out = append(out, total{uint64(i + 1), t, v})
		t += profile.UnixMilli(1 + rng.IntN([]int{2, replica.Window / 2}[rng.IntN(2)])) // times that almost touch, too
		if rng.IntN(5) > 0 {
			v += 1 + rng.Int64N(100)
		}
	}
	return out
}

// growth is the rows that a source makes of those totals that it has seen.
func growth(seen []total) []replica.Row {
	var out []replica.Row
	for i := 1; i < len(seen); i++ {
		if d := seen[i].value - seen[i-1].value; d > 0 {
			out = append(out, replica.Row{ID: seen[i].id, Time: seen[i].time, Total: d, Since: uint32(seen[i].time - seen[i-1].time)})
		}
	}
	return out
}

// older are rows as blocks of earlier versions have them.
func older(rows []replica.Row) []replica.Row {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Since = 0
	}
	return rows
}

// shown is a source in the stores of a choice, one for each source.
type shown struct {
	units []replica.Unit
	rows  [][]replica.Row // by entry of the only unit
}

// show has a store say what rows a source has of a series.
func show(source byte, counter bool, rows []replica.Row) shown {
	s := shown{units: []replica.Unit{{Origin: query.Origin{ID: ulid.ULID{14: 1, 15: source}, Source: ulid.ULID{15: source}}}}}
	u := &s.units[0]
	for _, r := range rows {
		w := int64(r.Time) / replica.Window
		i := slices.IndexFunc(u.Entries, func(e replica.Entry) bool { return e.Window == w })
		if i < 0 {
			i = len(u.Entries)
			u.Entries = append(u.Entries, replica.Entry{Series: replica.Series{Hi: 1}, Window: w, Counter: counter})
			s.rows = append(s.rows, nil)
		}
		s.rows[i] = append(s.rows[i], r)
		u.Entries[i].Digest = replica.DigestOf(s.rows[i])
		if counter {
			u.Entries[i].Reach.Merge(query.ReachOf(r.Time, r.Since))
		}
	}
	return s
}

// choose makes a choice and returns the rows that were taken, by time.
func choose(t *testing.T, stores []shown) []replica.Row {
	units := make([][]replica.Unit, len(stores))
	for i := range stores {
		units[i] = stores[i].units
	}
	c := replica.NewChoice(units)
	if refs := c.Ask(); refs != nil {
		rows := make([][][]replica.Row, len(stores))
		for i := range refs {
			for _, r := range refs[i] {
				rows[i] = append(rows[i], stores[i].rows[r.Entry])
			}
		}
		c.Tell(rows)
		require.Nil(t, c.Ask(), "asks once")
	}
	var out []replica.Row
	for i, picks := range c.Picks() {
		for _, p := range picks {
			if p.All {
				require.Empty(t, p.Entries)
				out = append(out, slices.Concat(stores[i].rows...)...)
			}
			for _, e := range p.Entries {
				require.True(t, e.IDs == nil || slices.IsSorted(e.IDs))
				for _, r := range stores[i].rows[e.Entry] {
					if e.IDs == nil || slices.Contains(e.IDs, r.ID) {
						out = append(out, r)
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b replica.Row) int { return int(a.Time - b.Time) })
	return out
}

func sum(rows []replica.Row) (n int64) {
	for _, r := range rows {
		n += r.Total
	}
	return n
}

// miss returns what a source has seen that was away for a while, or that lost
// some of what it should have got.
func miss(rng *rand.Rand, all []total) []total {
	from := rng.IntN(len(all))
	to := from + rng.IntN(len(all)-from+1)
	switch rng.IntN(4) {
	case 0: // was away
		return slices.Concat(all[:from], all[to:])
	case 1: // came late or left early
		return all[from:to]
	}
	return slices.DeleteFunc(slices.Clone(all), func(total) bool { return rng.IntN(5) == 0 })
}

// lives is how many counters are tried.
func lives() int {
	if testing.Short() { // under the race detector, where it is slow
		return 2000
	}
	return 20_000
}

// TestCountersGrowOnce gives sources different parts of a counter's life. What
// is made of it is never more than what was counted, and exactly that if one of
// them has seen it all.
func TestCountersGrowOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(drawSeed(t), 1))
	lessThanBest, worlds := 0, lives()
	for range worlds {
		all := life(rng)
		truth := sum(growth(all))
		var stores []shown
		var best int64
		complete := rng.IntN(3) == 0
		for s := range 2 + rng.IntN(3) {
			seen := miss(rng, all)
			if complete && s == 1 {
				seen = all
			}
			rows := growth(seen)
			best = max(best, sum(rows))
			if rng.IntN(3) == 0 {
				rows = older(rows)
			}
			stores = append(stores, show(byte(s), true, rows))
		}
		got := sum(choose(t, stores))
		if complete {
			require.Equal(t, truth, got, "%v: %+v", all, stores)
		}
		require.LessOrEqual(t, got, truth, "%v: %+v", all, stores)
		if got < best {
			lessThanBest++
		}
	}
	t.Logf("less than the best source knows: %d of %d", lessThanBest, worlds)
}

// TestCountersInPart is the same for a question about a part of the time.
func TestCountersInPart(t *testing.T) {
	rng := rand.New(rand.NewPCG(drawSeed(t), 1))
	inexact, worlds := 0, lives()
	for range worlds {
		all := life(rng)
		a, b := rng.IntN(len(all)), rng.IntN(len(all))
		in := profile.TimeRange{Start: all[min(a, b)].time, End: all[max(a, b)].time}
		cut := func(rows []replica.Row) []replica.Row {
			return slices.DeleteFunc(rows, func(r replica.Row) bool { return !in.Contains(r.Time) })
		}
		complete := rng.IntN(2) == 0
		var stores []shown
		for s := range 2 + rng.IntN(3) {
			seen := miss(rng, all)
			if complete && s == 1 {
				seen = all
			}
			rows := cut(growth(seen))
			if rng.IntN(3) == 0 {
				rows = older(rows)
			}
			stores = append(stores, show(byte(s), true, rows))
		}
		got := choose(t, stores)
		if complete && sum(got) != sum(cut(growth(all))) {
			inexact++
		}
		// What grew before the question may be in the first row, once.
		upTo := slices.DeleteFunc(slices.Clone(all), func(v total) bool { return v.time > in.End })
		require.LessOrEqual(t, sum(got), sum(growth(upTo)), "%v of %v: %+v", in, all, stores)
		for i := 1; i < len(got); i++ {
			between := slices.DeleteFunc(slices.Clone(all), func(v total) bool { return v.time > got[i].Time })
			require.LessOrEqual(t, sum(got[:i+1]), sum(growth(between)), "%v of %v: %+v", in, all, stores)
		}
	}
	t.Logf("not exact at the begin: %d of %d", inexact, worlds)
}

// TestCountersGoOnElsewhere has one source show an hour, as a compactor's block
// does, and another one the next: it goes on where the first one ends, which is
// seen without a look at the rows. One that may have begun before has not all of
// it counted.
func TestCountersGoOnElsewhere(t *testing.T) {
	all := []total{{1, 10, 0}, {2, 1000, 5}, {3, replica.Window + 20, 7}, {4, replica.Window + 30, 9}}
	rows := growth(all)
	first, next := show(1, true, rows[:1]), show(2, true, rows[1:])
	require.Nil(t, replica.NewChoice([][]replica.Unit{first.units, next.units}).Ask())
	require.Equal(t, rows, choose(t, []shown{first, next}))

	missed := growth(slices.Delete(slices.Clone(all), 1, 2)) // reaches over the first hour
	require.NotNil(t, replica.NewChoice([][]replica.Unit{first.units, show(2, true, missed).units}).Ask())
	require.Equal(t, missed, choose(t, []shown{first, show(2, true, missed)}))

	old := show(2, true, older(rows[1:]))
	require.NotNil(t, replica.NewChoice([][]replica.Unit{first.units, old.units}).Ask())
	require.Len(t, choose(t, []shown{first, old}), 2)
}

// TestCountersOfUnitsTogether has a source show a window in two units: how far
// back they reach is how far either does.
func TestCountersOfUnitsTogether(t *testing.T) {
	all := []total{{1, 10, 0}, {2, 1000, 5}, {3, replica.Window + 20, 7}, {4, replica.Window + 30, 9}}
	first := show(1, true, growth(all)[:1])
	missed := growth(slices.Delete(slices.Clone(all), 1, 2)) // reaches over the first hour
	one, other := show(2, true, missed[:1]).as(id(5), id(0)), show(2, true, missed[1:]).as(id(6), id(0))
	for _, stores := range [][]shown{{first, one, other}, {first, other, one}, {other, one, first}} {
		require.Equal(t, missed, choose(t, stores))
	}
}

// TestCountersOfUnknownBegin come last: where nobody knows how far back a row
// reaches, it takes the place of none of which that is known.
func TestCountersOfUnknownBegin(t *testing.T) {
	all := []total{{1, 10, 0}, {2, 20, 5}, {3, 30, 7}, {4, 40, 9}, {5, 50, 11}, {6, 60, 12}}
	early, late := show(1, true, growth(all[:3])), show(2, true, older(growth(all[2:])))
	require.Equal(t, []uint64{2, 3, 5, 6}, ids(choose(t, []shown{early, late})))

	// Two windows of one source need no look: no row of a source is in another.
	apart := older(growth([]total{{1, 10, 0}, {2, 20, 5}, {3, replica.Window + 20, 7}}))
	require.Nil(t, replica.NewChoice([][]replica.Unit{show(1, true, apart).units}).Ask())
}

// TestCountersJoin: of equal rows the one that reaches least far counts for all,
// and one row may begin when another ends.
func TestCountersJoin(t *testing.T) {
	all := []total{{1, 10, 0}, {2, 20, 3}, {3, 30, 3}, {4, 40, 8}, {5, 50, 9}, {6, 60, 10}, {7, 70, 12}}
	stores := []shown{
		show(1, true, growth([]total{all[1], all[3], all[4], all[5]})), // has most, and reaches into the third's
		show(2, true, growth(all[2:4])),                                // but nothing grew there
		show(3, true, growth([]total{all[0], all[2]})),
		show(4, true, growth(all[5:])),
	}
	require.Equal(t, []uint64{3, 4, 5, 6, 7}, ids(choose(t, stores)))
	require.Equal(t, sum(growth(all)), sum(choose(t, stores)))
}

// TestCountersThroughCompactions makes blocks of some of what sources have in some
// hours, again and again, as compactors do to which many blocks come late. What is
// left is never more than what was counted; and if one source has seen it all, it
// is less than that only where a row that reaches from one hour into the one before
// was written when the finer ones of either hour had not come.
func TestCountersThroughCompactions(t *testing.T) {
	rng := rand.New(rand.NewPCG(drawSeed(t), 1))
	short, worlds := 0, lives()/2
	for range worlds {
		all := life(rng)
		truth := sum(growth(all))
		var units []shown                 // an hour of a source each
		next, jobs := byte(10), byte(100) // IDs of the last unit, and of the last job
		add := func(source byte, rows []replica.Row) {
			byHour := map[int64][]replica.Row{}
			for _, r := range rows {
				h := int64(r.Time) / replica.Window
				byHour[h] = append(byHour[h], r)
			}
			for h := range int64(30) {
				if len(byHour[h]) > 0 {
					units = append(units, show(source, true, byHour[h]).as(id(next), id(0)))
					next++
				}
			}
		}
		complete := rng.IntN(2) == 0
		for s := range 2 + rng.IntN(2) {
			seen := miss(rng, all)
			if complete && s == 1 {
				seen = all
			}
			add(byte(s), growth(seen))
		}
		for range rng.IntN(5) {
			from := int64(rng.IntN(12))
			to := from + int64(rng.IntN(6))
			var inputs, rest []shown
			for _, u := range units {
				if h := u.units[0].Entries[0].Window; h >= from && h <= to && rng.IntN(4) > 0 {
					inputs = append(inputs, u)
				} else {
					rest = append(rest, u)
				}
			}
			if len(inputs) < 2 {
				continue
			}
			units = rest
			jobs++
			add(jobs, choose(t, inputs))
		}
		rng.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
		got := sum(choose(t, units))
		require.LessOrEqual(t, got, truth, "%v: %+v", all, units)
		if complete && got < truth {
			short++
		}
	}
	t.Logf("less than the one that has seen it all: %d of %d", short, worlds)
	require.LessOrEqual(t, short, worlds/500)
}
