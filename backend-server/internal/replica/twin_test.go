package replica_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
)

// Without flags TestTwin takes a sample of some seconds, the same each time.
var (
	operations = flag.Int("replica.operations", 0, "random operations that TestTwin does; 0 is a sample")
	firstSeed  = flag.Uint64("replica.seed", 1, "seed of what is random, in TestTwin of its first world; 0 draws one")
)

// Worlds are many and small rather than few and large, as in the database's own
// test.
const worldOperations = 120

// sampleWorlds are those of the sample.
const sampleWorlds = 16

// TestTwin writes records to several databases, loses copies, moves blocks, and
// compares what a reader makes of it with a list that has each record once.
func TestTwin(t *testing.T) {
	seed, most := drawSeed(t), *operations
	if most == 0 {
		most = sampleWorlds * worldOperations
		if testing.Short() { // under the race detector, where it is slow
			most = 2 * worldOperations
		}
	}
	counts, began, done := map[string]int{}, time.Now(), 0
	for world := uint64(0); done < most; world++ {
		done += runWorld(t, seed+world, min(worldOperations, most-done), counts)
	}
	require.Positive(t, counts["compare"])
	t.Logf("%d operations in %s: %v", done, time.Since(began).Round(time.Second), counts)
}

func drawSeed(t *testing.T) uint64 {
	t.Helper()
	return dbtest.Seed(t, "replica.seed", *firstSeed)
}

// runWorld does n random operations to a world and returns how many that were.
func runWorld(t *testing.T, seed uint64, n int, counts map[string]int) int {
	w := newWorld(t, seed, counts)
	var done []string
	defer func() {
		if t.Failed() {
			t.Logf("the world of -replica.seed=%d (with -replica.operations=%d it is the only one) after %v", seed, n, done)
		}
	}()
	for range n {
		name := w.step()
		done = append(done, name)
		counts[name]++
	}
	w.compare()
	for _, n := range w.nodes {
		w.flush(n)
	}
	for range 3 {
		w.compare()
	}
	w.close()
	return n
}
