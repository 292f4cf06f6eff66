package symbols_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// named makes a profile with one sample for each stack, which is given as the
// names of its functions, the root first. Nothing but names tells the locations
// apart.
func named(stacks ...string) *profile.Profile {
	p := &profile.Profile{Strings: []string{""}, Mappings: []profile.Mapping{{}}}
	for _, stack := range stacks {
		start := uint32(len(p.Frames))
		names := strings.Split(stack, ";")
		for i := len(names) - 1; i >= 0; i-- {
			n := uint32(len(p.Locations))
			p.Strings = append(p.Strings, names[i])
			p.Functions = append(p.Functions, profile.Function{Name: n + 1})
			p.Lines = append(p.Lines, profile.Line{Function: n})
			p.Locations = append(p.Locations, profile.Location{LineStart: n, LineEnd: n + 1})
			p.Frames = append(p.Frames, n)
		}
		p.Samples = append(p.Samples, profile.Sample{FrameStart: start, FrameEnd: uint32(len(p.Frames))})
	}
	return p
}

// intern returns the stack traces that the samples of p were taken for.
func intern(in *symbols.Interner, p *profile.Profile) (out []string) {
	var m symbols.Mapper
	m.Reset(in, p)
	m.Digest(p.Samples)
	stacks := m.Stacks(nil)
	view := in.View()
	for _, s := range stacks {
		out = append(out, strings.ReplaceAll(frames(&view, s), ":0", ""))
	}
	return out
}

// Two functions share a digest. As soon as a stack has to be defined that has
// the second, that is noticed, and the whole record is right.
func TestCollisionIsNoticedAtDefinition(t *testing.T) {
	in := symbols.NewInterner()
	symbols.Weaken(in)
	require.Equal(t, []string{"f"}, intern(in, named("f")))
	require.True(t, symbols.Weak(in))
	require.Equal(t, []string{"g", "g;f", "f"}, intern(in, named("g", "g;f", "f")))
	require.False(t, symbols.Weak(in))
	require.Equal(t, []string{"f;g", "f", "g"}, intern(in, named("f;g", "f", "g")))
	view := in.View()
	require.Equal(t, []string{"", "f", "g"}, view.Strings)
	require.Len(t, view.Stacks, 4)
}

// What shares a digest is noticed too where digests are made anew from a table.
func TestCollisionIsNoticedInTheIndex(t *testing.T) {
	in := symbols.NewLogged()
	require.Equal(t, []string{"f", "g"}, intern(in, named("f", "g")))
	symbols.Weaken(in)
	require.Equal(t, []string{"g", "h", "f"}, intern(in, named("g", "h", "f")))
	require.False(t, symbols.Weak(in))
	require.Len(t, in.View().Stacks, 3)
}

// An index made anew, from a table or from a log, finds what is there.
func TestIndexMadeAnew(t *testing.T) {
	recs := records(100)
	in, logged := tails(recs)
	again := symbols.NewLogged()
	for _, tail := range logged {
		_, err := again.ReplayTail(tail)
		require.NoError(t, err)
	}
	size := in.Bytes()
	in.Release()
	require.Less(t, in.Bytes(), size)
	for _, in := range []*symbols.Interner{in, again} {
		before := in.Mark()
		var m symbols.Mapper
		for _, rec := range recs {
			m.Reset(in, rec.Profile)
			for i := range rec.Profile.Samples {
				m.Stack(&rec.Profile.Samples[i])
			}
		}
		require.Equal(t, before, in.Mark())
	}
}

// A rollback forgets what came after the mark, and nothing else.
func TestRollback(t *testing.T) {
	in := symbols.NewLogged()
	intern(in, named("a;b", "c"))
	before, table := in.Mark(), in.View()
	intern(in, named("a;b;d", "e;c", "f"))
	require.NotEqual(t, before, in.Mark())
	in.Rollback(before)
	require.Equal(t, before, in.Mark())
	require.Equal(t, table, in.View())
	require.Equal(t, []string{"e;c", "a;b", "a;b;d", "c"}, intern(in, named("e;c", "a;b", "a;b;d", "c")))
	require.Len(t, in.View().Stacks, 4)
}

// Where a damaged log left several entries named LostName, a profile with a
// function of that name meets them all.
func TestLostEntriesAreNoCollision(t *testing.T) {
	var logged [][]byte
	full := symbols.NewLogged()
	for _, stack := range []string{"a", "b;a", "c;b;a"} {
		mark := full.Mark()
		intern(full, named(stack))
		logged = append(logged, full.AppendTail(nil, mark))
	}
	in := symbols.NewLogged()
	_, err := in.ReplayTail(logged[2]) // the first two are lost
	require.NoError(t, err)
	lost := symbols.LostName
	require.Equal(t, []string{lost, "c;" + lost, "c"}, intern(in, named(lost, "c;"+lost, "c")))
}
