package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/stretchr/testify/require"
)

// world is a ring whose members were last heard of so many seconds ago.
func world(now time.Time, silent map[string]int) *ring.Desc {
	d := ring.NewDesc()
	for id, s := range silent {
		d.Ingesters[id] = ring.InstanceDesc{Id: id, Timestamp: now.Add(-time.Duration(s) * time.Second).Unix()}
	}
	return d
}

func TestWhoIsForgotten(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	// Heartbeats each 10 s, timeout 60 s, forgotten after 600 s. Each case runs
	// for ten minutes; silent says when members fell silent, in seconds after
	// the start, negative for before.
	for _, c := range []struct {
		name   string
		mine   map[string]int // when a member fell silent; missing: never
		living []string
		others map[string]int // of another ring
		want   []string
		held   bool // at the end
		pause  bool // this process sleeps for a while before the end
	}{
		{name: "nobody is dead", living: []string{"a", "b", "me"}},
		{name: "one of three", living: []string{"a", "me"}, mine: map[string]int{"b": -700}, want: []string{"b"}},
		{name: "not long enough", living: []string{"a", "me"}, mine: map[string]int{"b": 300}},
		{name: "two of three: is it me?", living: []string{"me"}, mine: map[string]int{"a": -700, "b": -700}, held: true},
		{name: "half of four", living: []string{"a", "me"}, mine: map[string]int{"b": -700, "c": -700}, held: true},
		{name: "one of two", living: []string{"me"}, mine: map[string]int{"a": -700}, held: true},
		{name: "one of two, others are seen on another ring", living: []string{"me"}, mine: map[string]int{"a": -700}, others: map[string]int{"x": 9999, "y": 9999}, want: []string{"a"}},
		{name: "the dead of another ring count", living: []string{"a", "me"}, mine: map[string]int{"b": -700}, others: map[string]int{"x": -700, "y": -700}, held: true},
		{name: "one process on two rings counts once", living: []string{"me"}, mine: map[string]int{"a": -700}, others: map[string]int{"me": 9999, "a": -700}, held: true},
		{name: "woken up", living: []string{"a", "me"}, mine: map[string]int{"b": -100}, pause: true, held: true},
	} {
		f := forgetter{after: 10 * time.Minute, period: 10 * time.Second, timeout: time.Minute}
		var got []string
		held := false
		for second := 0; second <= 600; second += 10 {
			if c.pause && second > 100 && second < 600 {
				continue
			}
			now := start.Add(time.Duration(second) * time.Second)
			silent, elsewhere := map[string]int{}, map[string]int{}
			for _, id := range c.living {
				silent[id] = 5
			}
			for id, since := range c.mine {
				silent[id] = max(0, second-since)
			}
			for id, since := range c.others {
				elsewhere[id] = max(0, second-since)
			}
			mine := world(now, silent)
			for _, id := range got {
				delete(mine.Ingesters, id)
			}
			var ids []string
			ids, held = f.dead(now, mine, func() []view {
				return []view{{mine, time.Minute}, {world(now, elsewhere), time.Minute}}
			})
			require.False(t, held && len(ids) > 0)
			got = append(got, ids...)
		}
		slices.Sort(got)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.held, held, c.name)
	}
}

// TestHealedPartitionForgetsNobody: when this process is let in again, it hears
// of the living one by one; those it has not heard of yet look dead.
func TestHealedPartitionForgetsNobody(t *testing.T) {
	f := forgetter{after: 5 * time.Minute, period: 5 * time.Second, timeout: time.Minute}
	start := time.Unix(1_700_000_000, 0)
	heard := map[string]int{"a": 0, "b": 0, "c": 0, "d": 0} // last time, in seconds
	for second := 0; second < 2000; second += 5 {
		cut := second < 1000
		for i, id := range []string{"a", "b", "c", "d"} {
			if late := 1000 + 12*i; !cut && second >= late { // news takes up to 36 s
				heard[id] = second
			}
		}
		silent := map[string]int{"me": 0}
		for id, at := range heard {
			silent[id] = second - at
		}
		now := start.Add(time.Duration(second) * time.Second)
		d := world(now, silent)
		ids, held := f.dead(now, d, func() []view { return []view{{d, time.Minute}} })
		require.Empty(t, ids, "second %d", second)
		require.Equal(t, second > 300 && second < 1036, held, "second %d", second)
	}
}

func TestNeverForget(t *testing.T) {
	f := forgetter{period: time.Second, timeout: time.Minute}
	now := time.Unix(1_700_000_000, 0)
	d := world(now, map[string]int{"me": 0, "a": 0, "b": 1e6})
	ids, held := f.dead(now, d, func() []view { return []view{{d, time.Minute}} })
	require.Empty(t, ids)
	require.False(t, held)
}
