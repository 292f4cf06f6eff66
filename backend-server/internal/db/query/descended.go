package query

import (
	"context"

	"github.com/oklog/ulid/v2"
)

// Descended is a Queryable that may have been made of what several databases
// held. For a running total it matters which: its rows are what it grew by since
// the profile before in the same database.
type Descended interface {
	Queryable
	// Lineage returns, for some row series of a partition, the databases each of
	// which took in exactly these rows, of all hours that the row series has rows
	// in: bit i of a mask stands for the i-th of sources. There are no sources if
	// the unit is not made of others.
	Lineage(ctx context.Context, partition uint32, rows []uint32) (sources []ulid.ULID, masks []uint64, err error)
}

// MaxLineage is how many databases a mask can tell apart.
const MaxLineage = 64
