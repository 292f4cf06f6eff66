package buckettest

import (
	"fmt"
	"testing"

	"github.com/thanos-io/objstore"
)

// CrashAt lets the program that uses the bucket die at its k-th mutation from
// now on, counted from 1: that one happens or not as when says, and every call
// after it fails with ErrCrashed.
func (b *Bucket) CrashAt(k int, when When) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crashAt, b.crashes = b.stats.Mutations+k, when
}

// Crashed reports whether the program has died.
func (b *Bucket) Crashed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.crashed
}

// Restart lets the program live again, and no more die.
func (b *Bucket) Restart() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crashed, b.crashAt = false, 0
}

// EveryCrash calls run with a new bucket in memory for every moment at which a
// program could die: before, in the middle of, and after its first mutation,
// its second, and so on, until it has none left to die at. run does its work
// (which fails), calls Restart, and checks what it finds. What it needs to
// be there beforehand it puts into the field Bucket.
func EveryCrash(t *testing.T, run func(t *testing.T, b *Bucket)) {
	t.Helper()
	names := [...]string{Before: "before", Torn: "within", After: "after"}
	for k, died := 1, true; died; k++ {
		died = false
		for when, name := range names {
			t.Run(fmt.Sprintf("%s_mutation_%d", name, k), func(t *testing.T) {
				b := New(objstore.NewInMemBucket(), Lag{})
				b.CrashAt(k, When(when))
				run(t, b)
				died = died || b.died
			})
		}
	}
}
