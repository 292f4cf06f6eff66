package symbols_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func records(n int) []profile.Record {
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(1, 2)), Start: 1, Length: 1000}
	out := make([]profile.Record, n)
	for i := range out {
		out[i] = gen.Record()
	}
	return out
}

// frames returns a stack of the table in the form of dbtest.Frames.
func frames(t *symbols.Table, stack uint32) string {
	p := &profile.Profile{Strings: t.Strings, Functions: t.Functions, Lines: t.Lines, Locations: t.Locations}
	for n := t.Stacks[stack]; n != 0; n = t.Nodes[n].Parent {
		p.Frames = append(p.Frames, t.Nodes[n].Location)
	}
	return dbtest.Frames(p, profile.Sample{FrameEnd: uint32(len(p.Frames))}, true)
}

func TestEqualStacksHaveOneIndex(t *testing.T) {
	in := symbols.NewInterner()
	var m symbols.Mapper
	for _, rec := range records(200) {
		m.Reset(in, rec.Profile)
		for i := range rec.Profile.Samples {
			s := &rec.Profile.Samples[i]
			stack := m.Stack(s)
			view := in.View()
			require.Equal(t, dbtest.Frames(rec.Profile, *s, true), frames(&view, stack))
			require.Equal(t, stack, m.Stack(s))
		}
	}
	view := in.View()
	for i, n := range view.Nodes[1:] {
		require.Less(t, int(n.Parent), i+1, "S2")
	}
	require.Equal(t, len(view.Strings), distinct(view.Strings), "S4")
	require.Equal(t, len(view.Functions), distinct(view.Functions), "S4")
	require.Equal(t, len(view.Nodes)-1, distinct(view.Nodes[1:]), "S4") // the root is none of them
	require.Equal(t, len(view.Stacks), distinct(view.Stacks), "S4")
}

func distinct[T comparable](list []T) int {
	seen := map[T]struct{}{}
	for _, v := range list {
		seen[v] = struct{}{}
	}
	return len(seen)
}

// tails interns records and returns what a log would have of each.
func tails(recs []profile.Record) (*symbols.Interner, [][]byte) {
	in := symbols.NewLogged()
	var m symbols.Mapper
	var out [][]byte
	for _, rec := range recs {
		mark := in.Mark()
		m.Reset(in, rec.Profile)
		for i := range rec.Profile.Samples {
			m.Stack(&rec.Profile.Samples[i])
		}
		out = append(out, in.AppendTail(nil, mark))
	}
	return in, out
}

func TestReplayedTailsGiveTheSameTable(t *testing.T) {
	in, logged := tails(records(50))
	again := symbols.NewLogged()
	for _, tail := range logged {
		rest, err := again.ReplayTail(append(slices.Clone(tail), "more"...))
		require.NoError(t, err)
		require.Equal(t, "more", string(rest))
	}
	require.Equal(t, in.View(), again.View())
	require.Equal(t, in.Mark(), again.Mark())
}

func TestDamagedTailIsCorrupt(t *testing.T) {
	_, logged := tails(records(3))
	for n := range len(logged[0]) {
		_, err := symbols.NewLogged().ReplayTail(logged[0][:n])
		require.True(t, fault.Is(err, fault.Corrupt), "cut at %d: %v", n, err)
	}
}

func FuzzReplayTail(f *testing.F) {
	_, logged := tails(records(5))
	for _, tail := range logged {
		f.Add(tail)
	}
	f.Fuzz(func(t *testing.T, tail []byte) {
		in := symbols.NewLogged()
		if _, err := in.ReplayTail(logged[0]); err != nil {
			t.Fatal(err)
		}
		_, err := in.ReplayTail(tail)
		if err != nil && !fault.Is(err, fault.Corrupt) {
			t.Fatal(err)
		}
		view := in.View()
		for s := range view.Stacks {
			frames(&view, uint32(s))
		}
	})
}
