package query

import "runtime"

// Distant is implemented by units whose content lies far away, so that each
// read is a round trip: what is read of one, and of several, is asked for at
// once rather than in turn. A unit that shows part of another one passes on
// what that says.
type Distant interface{ Distant() bool }

// IsDistant reports whether a unit's content lies far away.
func IsDistant(q Queryable) bool {
	d, ok := q.(Distant)
	return ok && d.Distant()
}

// distantAtOnce is how many units, or parts of units, are read at a time if
// they are far away: who reads them mostly waits.
const distantAtOnce = 64

// AtOnce is how many goroutines may read units, or parts of them, at a time.
func AtOnce(qs ...Queryable) int {
	n := runtime.GOMAXPROCS(0)
	for _, q := range qs {
		if IsDistant(q) {
			return max(n, distantAtOnce)
		}
	}
	return n
}
