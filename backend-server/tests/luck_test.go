package tests

import (
	"flag"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
)

// firstSeed gives the draws of all tests. When a process is killed still depends
// on how far it has come by then, so a run that is repeated is alike, not equal.
var firstSeed = flag.Uint64("tests.seed", 1, "seed of what is random in the tests; 0 draws one")

// luck is what is random in one test, for all of its goroutines.
type luck struct {
	mu  sync.Mutex
	rng *rand.Rand
}

// newLuck tells the seed. Every test has draws of its own, whatever runs beside
// it.
func newLuck(t *testing.T) *luck {
	t.Helper()
	seed := dbtest.Seed(t, "tests.seed", *firstSeed)
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.Name()))
	return &luck{rng: rand.New(rand.NewPCG(seed, name.Sum64()))}
}

// below draws a number from 0 to n-1.
func (l *luck) below(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(n)
}
