package flamegraph

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// BenchmarkFromTree lays out what a screen shows of a busy service: 16 thousand
// nodes of a tree of 45 thousand.
func BenchmarkFromTree(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	t := tree.New()
	names := make([]tree.NameID, 5000)
	for i := range names {
		names[i] = t.Name(fmt.Sprintf("github.com/example/service/internal/package%d.(*Type).Method%d", i%50, i))
	}
	for t.Len() < 45_000 {
		parent := tree.NodeID(r.IntN(t.Len()))
		t.Add(t.Child(parent, names[r.IntN(len(names))]), int64(r.IntN(1000)))
	}
	cut := t.Truncate(16384)
	b.ReportAllocs()
	for b.Loop() {
		FromTree(cut)
	}
}
