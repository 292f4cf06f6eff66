package query

import (
	"context"
	"math"
	"math/bits"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// DigestWindow is the length of the windows that rows are digested by, in
// milliseconds. They begin at its multiples, like the blocks of a database, so
// that a block mostly lies in one.
const DigestWindow = 60 * 60 * 1000

// WindowOf returns the number of the window that t lies in.
func WindowOf(t profile.UnixMilli) int64 {
	w := int64(t) / DigestWindow
	if t < 0 && int64(t)%DigestWindow != 0 {
		w--
	}
	return w
}

// WindowRange returns the times of a window. The first and the last window are
// cut off where time ends.
func WindowRange(w int64) profile.TimeRange {
	first, last := WindowOf(math.MinInt64), WindowOf(math.MaxInt64)
	w = min(max(w, first), last)
	r := profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}
	if w > first {
		r.Start = profile.UnixMilli(w * DigestWindow)
	}
	if w < last {
		r.End = profile.UnixMilli((w+1)*DigestWindow - 1)
	}
	return r
}

// Digest stands for a set of rows. Blocks store digests, so what it is made of
// never changes.
type Digest struct {
	Count uint64
	Sum   uint64 // of a hash of each row's ID and total
}

// Add puts a row into the set.
func (d *Digest) Add(id uint64, total int64) {
	d.Count++
	d.Sum += Mix(id ^ bits.RotateLeft64(uint64(total)*0x9e3779b97f4a7c15, 32))
}

// Mix is the finalizer of MurmurHash3.
func Mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Reach is when a running total grew by what some rows of it say: after Begin,
// and not after End. The zero Reach says nothing.
type Reach struct {
	Begin profile.UnixMilli // math.MinInt64 where nobody knows
	End   profile.UnixMilli // the time of the last row
}

// ReachOf returns the reach of a row with this Time and Since.
func ReachOf(t profile.UnixMilli, since uint32) Reach {
	if since == 0 || t < math.MinInt64+profile.UnixMilli(since) {
		return Reach{math.MinInt64, t}
	}
	return Reach{t - profile.UnixMilli(since), t}
}

// Merge makes r the reach of further rows too.
func (r *Reach) Merge(o Reach) {
	if *r == (Reach{}) {
		*r = o
	} else if o != (Reach{}) {
		r.Begin, r.End = min(r.Begin, o.Begin), max(r.End, o.End)
	}
}

// RowsDigest is the digest of the rows of a row series in one window, and of
// running totals their reach.
type RowsDigest struct {
	Rows   uint32
	Window int64
	Digest
	Reach
}

// Digested is a Queryable that may have digests of its rows ready. Its rows do
// not change.
type Digested interface {
	Queryable
	// Digests returns those of some row series of a partition, which ascend, in
	// order of row series and window. There is one for each window that has
	// rows. It returns false if the unit has no digests.
	Digests(ctx context.Context, partition uint32, rows []uint32) ([]RowsDigest, bool, error)
}
