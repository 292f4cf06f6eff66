package query

import (
	"context"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// SumWindow is the shortest window that rows are summed over in advance, in
// milliseconds. Windows begin at its multiples.
const SumWindow profile.UnixMilli = 5 * 60 * 1000

// Group is all row series of a partition that are of the same profile types:
// the same __name__, sample type, scaled type and period type. A question about
// a whole service selects whole groups.
type Group struct {
	Index uint32
	Rows  []uint32 // every row series of the group, ascending
	// Step is the grain of the group's sums in milliseconds, a multiple of
	// SumWindow; 0 if there are none.
	Step profile.UnixMilli
}

// Summed is a Queryable that has sums of its rows ready.
type Summed interface {
	Queryable
	// Groups returns the groups of a partition.
	Groups(ctx context.Context, partition uint32) ([]Group, error)
	// ScanSums calls fn with rows that add up to exactly the rows of the group
	// whose time lies in r, value by value and stack by stack, among those of
	// one Unit. r begins at a multiple of the group's Step and ends one
	// millisecond before another. Of a row, Rows is the group's index and Time
	// is the begin of its window; ID and Spans mean nothing. It calls fn never
	// and returns false if the group has got another row series since Groups
	// returned it.
	ScanSums(ctx context.Context, partition uint32, g Group, r profile.TimeRange, fn func(*Row) error) (bool, error)
}
