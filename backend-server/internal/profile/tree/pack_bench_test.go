package tree

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// large is a tree of some 50,000 nodes with the names of 3,000 functions.
func large() *Tree {
	t, r := New(), rand.New(rand.NewPCG(1, 2))
	names := make([]NameID, 3000)
	for i := range names {
		names[i] = t.Name(fmt.Sprintf("github.com/some/module/package%d.(*Type).Method%d", i%97, i))
	}
	for t.Len() < 50_000 {
		n := Root
		for depth := range 5 + r.IntN(25) {
			n = t.Child(n, names[(depth*83+r.IntN(4)*r.IntN(4))%len(names)])
		}
		t.Add(n, 1+r.Int64N(1000))
	}
	return t
}

func BenchmarkPack(b *testing.B) {
	t := large()
	packed := t.AppendPacked(nil)
	plain, _ := t.AppendBinary(nil)
	b.Run("pack", func(b *testing.B) {
		for b.Loop() {
			packed = t.AppendPacked(packed[:0])
		}
		b.ReportMetric(float64(len(packed)), "size")
	})
	b.Run("unpack", func(b *testing.B) {
		for b.Loop() {
			if _, err := Unpack(packed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tree bytes", func(b *testing.B) {
		for b.Loop() {
			plain, _ = t.AppendBinary(plain[:0])
		}
		b.ReportMetric(float64(len(plain)), "size")
	})
	b.Run("decode tree bytes", func(b *testing.B) {
		for b.Loop() {
			if _, err := Decode(plain); err != nil {
				b.Fatal(err)
			}
		}
	})
}
