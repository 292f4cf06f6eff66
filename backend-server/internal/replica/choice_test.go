package replica_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

func id(n byte) ulid.ULID { return ulid.ULID{15: n} }

// row is a profile; those of one ID are the same.
func row(id uint64) replica.Row {
	return replica.Row{ID: id, Time: profile.UnixMilli(id) * 1000, Total: int64(id) * 7}
}

func rows(ids ...uint64) (out []replica.Row) {
	for _, id := range ids {
		out = append(out, row(id))
	}
	return out
}

// of is what a source shows in one unit.
func of(source byte, ids ...uint64) shown { return show(source, false, rows(ids...)) }

// as gives the unit of s another ID and a parent.
func (s shown) as(unit, parent ulid.ULID) shown {
	s.units = slices.Clone(s.units)
	s.units[0].ID, s.units[0].Parent = unit, parent
	return s
}

func ids(rows []replica.Row) []uint64 {
	out := []uint64{}
	for _, r := range rows {
		out = append(out, r.ID)
	}
	return out
}

func TestChoice(t *testing.T) {
	for _, c := range []struct {
		name   string
		stores []shown
		want   []uint64
	}{
		{"nothing", []shown{{}, {}}, []uint64{}},
		{"all agree", []shown{of(1, 1, 2), of(2, 1, 2), of(3, 1, 2)}, []uint64{1, 2}},
		{"one lacks some", []shown{of(1, 1), of(2, 1, 2)}, []uint64{1, 2}},
		{"each lacks something", []shown{of(1, 1, 2), of(2, 2, 3), of(3, 1, 3)}, []uint64{1, 2, 3}},
		{"nothing in common", []shown{of(1, 1, 2), of(2, 3)}, []uint64{1, 2, 3}},
		{"as many, but others", []shown{of(1, 1, 2), of(2, 1, 3)}, []uint64{1, 2, 3}},
		{"a source has nothing", []shown{of(1), of(2, 1)}, []uint64{1}},
		{"windows apart", []shown{of(1, 1, 2), of(2, 1, 2, 4000)}, []uint64{1, 2, 4000}},
		{"a block and its copy", []shown{of(1, 1).as(id(5), id(4)), of(1, 1).as(id(5), id(4))}, []uint64{1}},
		{"a head, its block and the copy", []shown{of(1, 1, 2).as(id(4), id(0)), of(1, 1).as(id(5), id(4)), of(1, 1).as(id(5), id(4))}, []uint64{1, 2}},
		{"a block before its head", []shown{of(1, 1).as(id(5), id(4)), of(1, 1, 2).as(id(4), id(0))}, []uint64{1, 2}},
		{"a head that has nothing hides its block", []shown{of(1).as(id(4), id(0)), of(1, 1).as(id(5), id(4))}, []uint64{}},
		{"the same ID in many", []shown{of(1, 9).as(id(5), id(0)), of(1, 9).as(id(5), id(0)), of(1, 9).as(id(5), id(0)), of(1, 9).as(id(5), id(0))}, []uint64{9}},
		{"two heads of a source", []shown{of(1, 1).as(id(4), id(0)), of(1, 2).as(id(6), id(0)), of(2, 1, 2)}, []uint64{1, 2}},
		{"a source in two units, the other lacks one", []shown{of(1, 1).as(id(4), id(0)), of(1, 2).as(id(6), id(0)), of(2, 2)}, []uint64{1, 2}},
		{"blocks from before there were sources", []shown{of(0, 1).as(id(4), id(0)), of(0, 2).as(id(6), id(0))}, []uint64{1, 2}},
		{"the same beside others", []shown{of(1, 3), of(0, 1).as(id(4), id(0)), of(0, 2).as(id(6), id(0))}, []uint64{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, ids(choose(t, c.stores)))
			slices.Reverse(c.stores)
			require.Equal(t, c.want, ids(choose(t, c.stores)), "in any order")
		})
	}
}

// TestAgreementAsksNothing is the rule: no rows are looked at, and what can come
// from one source comes from one.
func TestAgreementAsksNothing(t *testing.T) {
	stores := []shown{of(1, 1, 2, 4000), of(2, 1, 2, 4000), of(3, 1, 2, 4000)}
	c := replica.NewChoice([][]replica.Unit{stores[0].units, stores[1].units, stores[2].units})
	require.Nil(t, c.Ask())
	require.Equal(t, [][]replica.Pick{{{Unit: 0, All: true}}, nil, nil}, c.Picks())

	// Disputes are asked about alone.
	stores[1] = of(2, 1, 2)
	c = replica.NewChoice([][]replica.Unit{stores[0].units, stores[1].units})
	require.Nil(t, c.Ask())
	stores[1] = of(2, 1, 4000)
	c = replica.NewChoice([][]replica.Unit{stores[0].units, stores[1].units})
	require.Equal(t, [][]replica.Ref{{{Unit: 0, Entry: 0}}, {{Unit: 0, Entry: 0}}}, c.Ask())
}

// TestChoiceIsOfWhatTheStoresSaid makes random choices: each profile is in one
// pick, and the version is that of the set alone (C1, C3).
func TestChoiceIsOfWhatTheStoresSaid(t *testing.T) {
	rng := rand.New(rand.NewPCG(drawSeed(t), 1))
	versions := map[string][2]uint64{}
	for range 5000 {
		all := map[uint64]bool{}
		var stores []shown
		for source := range 1 + rng.IntN(4) {
			var some []uint64
			for id := uint64(1); id <= 6; id++ {
				if rng.IntN(2) == 0 {
					some = append(some, id*1200) // in two windows
					all[id*1200] = true
				}
			}
			stores = append(stores, of(byte(source), some...))
		}
		want := []uint64{}
		for id := uint64(1200); id <= 7200; id += 1200 {
			if all[id] {
				want = append(want, id)
			}
		}
		require.Equal(t, want, ids(choose(t, stores)))
		v, name := version(stores), fmt.Sprint(want)
		if before, ok := versions[name]; ok {
			require.Equal(t, before, v, name)
		}
		versions[name] = v
	}
	distinct := map[[2]uint64]bool{}
	for _, v := range versions {
		distinct[v] = true
	}
	require.Len(t, distinct, len(versions), "different sets, different versions")
	require.NotContains(t, distinct, [2]uint64{}, "that is no version")
}

func version(stores []shown) [2]uint64 {
	units := make([][]replica.Unit, len(stores))
	for i := range stores {
		units[i] = stores[i].units
	}
	c := replica.NewChoice(units)
	if refs := c.Ask(); refs != nil {
		lists := make([][][]replica.Row, len(stores))
		for i := range refs {
			for _, r := range refs[i] {
				lists[i] = append(lists[i], stores[i].rows[r.Entry])
			}
		}
		c.Tell(lists)
	}
	hi, lo := c.Version()
	return [2]uint64{hi, lo}
}

// late is a head that gets another series, and is cut, just after its series
// were looked up.
type late struct {
	query.Queryable
	after func()
}

func (l *late) Growing() bool { return l.Queryable.(interface{ Growing() bool }).Growing() }

func (l *late) Select(ctx context.Context, ms ...*labels.Matcher) ([]query.Series, error) {
	series, err := l.Queryable.Select(ctx, ms...)
	if l.after != nil {
		l.after()
		l.after = nil
	}
	return series, err
}

// TestHeadThatIsCutMeanwhile does not show what came after the snapshot (C2).
func TestHeadThatIsCutMeanwhile(t *testing.T) {
	ctx := context.Background()
	d, err := db.Open(ctx, "data/tenant", db.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer d.Close()
	gen := ones()
	require.Nil(t, d.Append(ctx, []profile.Record{gen()}))
	view := d.View(profile.TimeRange{})
	defer view.Release()
	head := &late{Queryable: view.Units[0], after: func() {
		for range 10 {
			require.Nil(t, d.Append(ctx, []profile.Record{gen()}))
		}
		require.NoError(t, d.Flush(ctx))
	}}
	all := profile.TimeRange{Start: start, End: start + replica.Window}
	s, err := replica.NewDigester(0).Take(ctx, []query.Queryable{head}, replica.Selection{Range: all})
	require.NoError(t, err)
	want := uint64(0)
	for _, e := range s.Units()[0].Entries {
		want += e.Count
	}
	picked, err := s.Pick([]replica.Pick{{Unit: 0, All: true}})
	require.NoError(t, err)
	impact, err := query.Analyze(ctx, picked, nil, all)
	require.NoError(t, err)
	require.NotZero(t, impact.Profiles)
	require.LessOrEqual(t, uint64(impact.Profiles), want)
}

// TestWhatIsNotThere is refused, whoever asks for it.
func TestWhatIsNotThere(t *testing.T) {
	ctx := context.Background()
	d, err := db.Open(ctx, "data/tenant", db.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer d.Close()
	require.Nil(t, d.Append(ctx, []profile.Record{ones()()}))
	view := d.View(profile.TimeRange{})
	defer view.Release()
	s, err := replica.NewDigester(0).Take(ctx, view.Units, replica.Selection{Range: profile.TimeRange{Start: start, End: start + replica.Window}})
	require.NoError(t, err)
	for _, p := range []replica.Pick{
		{Unit: 1, All: true}, {Unit: -1}, {Entries: []replica.EntryPick{{Entry: 100}}}, {Entries: []replica.EntryPick{{Entry: -1}}},
	} {
		_, err := s.Pick([]replica.Pick{p})
		require.True(t, fault.Is(err, fault.Invalid), "%+v: %v", p, err)
	}
	for _, r := range []replica.Ref{{Unit: 1}, {Unit: -1}, {Entry: 100}, {Entry: -1}} {
		_, err := s.Rows(ctx, []replica.Ref{r})
		require.True(t, fault.Is(err, fault.Invalid), "%+v: %v", r, err)
	}
}

// BenchmarkChoice chooses among three sources of some thousand series over a
// day. In dispute, one of them lacks a profile of each series.
func BenchmarkChoice(b *testing.B) {
	for _, counter := range []bool{false, true} {
		for _, disputed := range []bool{false, true} {
			b.Run(fmt.Sprintf("counter=%t/disputed=%t", counter, disputed), func(b *testing.B) {
				stores := many(counter, disputed)
				for b.Loop() {
					c := replica.NewChoice(stores)
					if refs := c.Ask(); refs != nil {
						lists := make([][][]replica.Row, len(stores))
						for i := range refs {
							for _, r := range refs[i] {
								e := &stores[i][0].Entries[r.Entry]
								some := make([]replica.Row, e.Count)
								for n := range some {
									some[n] = replica.Row{ID: uint64(n), Time: profile.UnixMilli(e.Window*replica.Window + int64(n)), Total: 1}
								}
								lists[i] = append(lists[i], some)
							}
						}
						c.Tell(lists)
					}
					c.Picks()
				}
			})
		}
	}
}

func many(counter, disputed bool) [][]replica.Unit {
	out := make([][]replica.Unit, copies)
	for s := range out {
		u := replica.Unit{Origin: query.Origin{ID: id(byte(1 + s)), Source: id(byte(1 + s))}}
		for series := range uint64(2000) {
			for w := range int64(24) {
				e := replica.Entry{Series: replica.Series{Hi: series}, Window: w, Counter: counter, Digest: replica.Digest{Count: 20, Sum: series}}
				if disputed && s == 1 && w == 5 {
					e.Count--
				}
				u.Entries = append(u.Entries, e)
			}
		}
		out[s] = []replica.Unit{u}
	}
	return out
}
