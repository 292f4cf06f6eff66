package tree

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func TestFunctionsUnderRecursion(t *testing.T) {
	tr := New()
	add(tr, []string{"main", "f", "g", "f"}, 3)
	add(tr, []string{"main", "f"}, 2)
	add(tr, nil, 7)
	require.Equal(t, []Function{{"f", 5, 5}, {"main", 0, 5}, {"g", 0, 3}}, tr.Functions())
	require.EqualValues(t, 12, tr.Total())
}

func TestSaturation(t *testing.T) {
	tr := New()
	add(tr, []string{"a"}, math.MaxInt64)
	require.False(t, tr.Saturated)
	add(tr, []string{"b"}, 1)
	require.EqualValues(t, math.MaxInt64, tr.Totals()[Root])
	require.True(t, tr.Saturated, "the root's sum left 64 bits")
	require.EqualValues(t, math.MaxInt64, tr.Total())

	one := New()
	add(one, []string{"a"}, math.MaxInt64-1)
	add(one, []string{"a"}, 2)
	require.True(t, one.Saturated)
	other := New()
	other.Merge(one)
	require.True(t, other.Saturated, "merging keeps the flag")
	require.True(t, other.Truncate(1).Saturated, "so does cutting")
}

func TestRemainderIsNoFunction(t *testing.T) {
	tr := New()
	add(tr, []string{"main", "other"}, 10)
	add(tr, []string{"main", "x"}, 1)
	add(tr, []string{"main", "y", "z"}, 2)
	cut := tr.Truncate(2)
	require.Equal(t, twin{"main\x00other": 10, "main\x00" + remainderMark: 3}, stacks(cut))
	require.Equal(t, []Function{{"main", 0, 13}, {"other", 10, 10}}, cut.Functions())
}

func TestNameKeepsItsOwnCopy(t *testing.T) {
	tr := New()
	require.Equal(t, tr.Name("f"), tr.Name("f"))
	require.NotEqual(t, tr.Name("f"), tr.Name("g"))
	require.NotEqual(t, tr.Name("total"), RootName)
	require.NotEqual(t, tr.Name("other"), Remainder)
}

func TestBytesAreThePeersBytes(t *testing.T) {
	tr := New()
	add(tr, []string{"main", "a"}, 3)
	add(tr, []string{"main", "b", "c"}, 200)
	b, err := tr.AppendBinary(nil)
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x01"+"\x04main\x00\x02"+"\x01b\x00\x01"+"\x01c\xc8\x01\x00"+"\x01a\x03\x00", string(b))
}

func TestEmptyTreeIsNoBytes(t *testing.T) {
	b, err := New().AppendBinary(nil)
	require.NoError(t, err)
	require.Empty(t, b)
	tr, err := Decode(nil)
	require.NoError(t, err)
	require.Equal(t, 1, tr.Len())
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string]string{
		"cut off in a length":     "\x80",
		"cut off in a name":       "\x05ab",
		"cut off before children": "\x00\x00",
		"missing child":           "\x00\x00\x01",
		"more children than room": "\x00\x00\xff\xff\xff\xff\x0f\x00\x00\x00",
		"value over 63 bits":      "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
		"number over 64 bits":     "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
		"bytes after the end":     "\x00\x01\x00\x00",
		"a root with a name":      "\x01a\x01\x00",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode([]byte(b))
			require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
		})
	}
}

func FuzzDecode(f *testing.F) {
	tr, _ := randomTree(rand.New(rand.NewPCG(1, 2)), 50)
	seed, _ := tr.AppendBinary(nil)
	f.Add(seed)
	f.Add([]byte("\x00\x00\x01\x04main\x05\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := Decode(b)
		if err != nil {
			return
		}
		again, err := tr.AppendBinary(nil)
		require.NoError(t, err)
		back, err := Decode(again)
		require.NoError(t, err)
		require.Equal(t, stacks(tr), stacks(back))
	})
}

// bigTree has about the size of a busy service's: 45 thousand nodes.
func bigTree() *Tree {
	r := rand.New(rand.NewPCG(3, 4))
	t := New()
	names := make([]NameID, 5000)
	for i := range names {
		names[i] = t.Name(string(rune('a'+i%26)) + string(rune(0x4e00+i)))
	}
	for t.Len() < 45_000 {
		parent := NodeID(r.IntN(t.Len()))
		t.Add(t.Child(parent, names[r.IntN(len(names))]), int64(r.IntN(1000)))
	}
	return t
}

func BenchmarkMerge(b *testing.B) {
	big := bigTree()
	b.ReportAllocs()
	for b.Loop() {
		New().Merge(big)
	}
}

func BenchmarkTruncate(b *testing.B) {
	big := bigTree()
	b.ReportAllocs()
	for b.Loop() {
		big.Truncate(8192)
	}
}

func BenchmarkFunctions(b *testing.B) {
	big := bigTree()
	b.ReportAllocs()
	for b.Loop() {
		big.Functions()
	}
}
