package db_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
)

// Without flags TestTwin takes a sample of some seconds, the same each time.
var (
	operations = flag.Int("db.operations", 0, "random operations that TestTwin does; 0 is a sample")
	firstSeed  = flag.Uint64("db.seed", 1, "seed of the first world of TestTwin; 0 draws one")
)

// Worlds are many and small rather than few and large: a comparison looks at
// everything that a world has, and small ones differ more.
const worldOperations = 200

// sampleWorlds are those of the sample.
const sampleWorlds = 12

// TestTwin does random things to databases and compares every answer with that
// of a list of all records, from which it is computed anew.
func TestTwin(t *testing.T) {
	seed, most := dbtest.Seed(t, "db.seed", *firstSeed), *operations
	if most == 0 {
		most = sampleWorlds * worldOperations
		if testing.Short() { // under the race detector, where it is slow
			most = worldOperations
		}
	}
	counts, began, done := map[string]int{}, time.Now(), 0
	for world := uint64(0); done < most; world++ {
		done += runWorld(t, seed+world, min(worldOperations, most-done), counts)
	}
	require.Positive(t, counts["compare"])
	t.Logf("%d operations in %s: %v", done, time.Since(began).Round(time.Second), counts)
}

// runWorld does n random operations to a world, compares it in head and blocks
// at once, then in blocks alone, and returns how many operations that were.
func runWorld(t *testing.T, seed uint64, n int, counts map[string]int) int {
	w := newWorld(t, seed)
	var done []string
	defer func() {
		if t.Failed() {
			t.Logf("the world of -db.seed=%d (with -db.operations=%d it is the only one) after %v", seed, n, done)
		}
	}()
	for range n {
		name := w.step()
		done = append(done, name)
		counts[name]++
	}
	w.compare()
	require.NoError(t, w.db.Flush(context.Background()))
	require.Zero(t, w.db.HeadStats().Profiles)
	for range 3 {
		w.compare()
	}
	w.close()
	return n
}
