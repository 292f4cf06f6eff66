package tree

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// sample is a tree with all that an encoding might lose.
func sample() *Tree {
	t := New()
	t.Name("never used")
	a := t.Child(Root, t.Name("a"))
	b := t.Child(a, t.Name("b"))
	t.Add(b, 5)
	t.Add(t.Child(b, t.Name("a")), 7)
	t.Add(t.Child(a, Remainder), 3)
	t.Add(t.Child(a, t.Name("other")), 2)
	t.Add(t.Child(Root, t.Name("")), 1)
	t.Add(t.Child(Root, t.Name("not UTF-8 \xff")), math.MaxInt64/2)
	t.Add(Root, 11)
	return t
}

func TestPackedTreeIsTheSame(t *testing.T) {
	empty, saturated, values := New(), New(), sample()
	saturated.Saturated = true
	for _, want := range []*Tree{empty, saturated, values, values.Truncate(2), values.FilterPrefix([]string{"a", "b"}), values.FilterPrefix([]string{"x"})} {
		packed := want.AppendPacked(nil)
		got, err := Unpack(packed)
		require.NoError(t, err)
		require.Equal(t, want.Saturated, got.Saturated)
		require.Equal(t, want.self, got.self)
		for id := 1; id < want.Len(); id++ {
			n := NodeID(id)
			require.Equal(t, want.Parent(n), got.Parent(n))
			require.Equal(t, want.Label(want.NameOf(n)), got.Label(got.NameOf(n)))
			require.Equal(t, want.NameOf(n) == Remainder, got.NameOf(n) == Remainder)
		}
		require.Equal(t, packed, got.AppendPacked(nil))
		for i := range packed {
			_, err := Unpack(packed[:i])
			require.True(t, fault.Is(err, fault.Corrupt), "%d of %d bytes: %v", i, len(packed), err)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"flags":      {[]byte{2, 0, 1, 0}, "unknown flags 0x2"},
		"no root":    {[]byte{0, 0, 0}, "0 nodes"},
		"more":       {[]byte{0, 0, 1, 0, 9}, "1 bytes follow"},
		"parent":     {[]byte{0, 0, 2, 0, 2, 0, 1}, "node 1 has a parent 2 before it"},
		"itself":     {[]byte{0, 0, 2, 0, 0, 0, 1}, "node 1 has a parent 0 before it"},
		"name":       {[]byte{0, 0, 2, 0, 1, 1, 1}, "node 1 has name 1 of 1"},
		"many nodes": {[]byte{0, 0, 200, 1, 0}, "200 nodes in 1 bytes"},
		"many names": {[]byte{0, 200, 1, 0}, "200 names in 1 bytes"},
	} {
		_, err := Unpack(c.b)
		require.ErrorContains(t, err, c.want, name)
	}
}

// TestNodeThatIsThereTwice: it is one after a merge, and does no harm before.
func TestNodeThatIsThereTwice(t *testing.T) {
	got, err := Unpack([]byte{0, 1, 1, 'a', 3, 0, 1, 1, 1, 2, 1, 1})
	require.NoError(t, err)
	require.Equal(t, []Function{{Name: "a", Self: 2, Total: 2}}, got.Functions())
	require.EqualValues(t, 2, got.Truncate(1).Total())
	merged := New()
	merged.Merge(got)
	require.Equal(t, 2, merged.Len())
	require.EqualValues(t, 2, merged.Total())
}

func FuzzUnpack(f *testing.F) {
	f.Add(sample().AppendPacked(nil))
	f.Add(New().AppendPacked(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Unpack(b)
		if err != nil {
			return
		}
		again, err := Unpack(got.AppendPacked(nil))
		require.NoError(t, err)
		require.True(t, bytes.Equal(got.AppendPacked(nil), again.AppendPacked(nil)))
		require.Equal(t, got.Total(), again.Total())
		got.Functions()
		got.Truncate(3)
		got.Merge(again)
	})
}

func TestCloneIsApart(t *testing.T) {
	a := sample()
	b := a.Clone()
	b.Add(b.Child(Root, b.Name("new")), 1)
	require.Equal(t, a.Len()+1, b.Len())
	require.Equal(t, sample().AppendPacked(nil), a.AppendPacked(nil))
}
