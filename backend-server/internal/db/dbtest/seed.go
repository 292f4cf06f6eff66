package dbtest

import (
	"math/rand/v2"
	"testing"
)

// Seed returns the seed of a test, which it logs, so that what fails can be
// repeated: the value of the flag of that name, or a new one if that is 0.
func Seed(t testing.TB, name string, value uint64) uint64 {
	t.Helper()
	if value == 0 {
		value = rand.Uint64() >> 16
	}
	t.Logf("-%s=%d", name, value)
	return value
}
