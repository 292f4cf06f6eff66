package deletion

import (
	"context"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
)

// Lineage implements query.Descended: the unit's. Where rows are deleted, those
// databases had more; to take them for such that miss it does no harm, since what
// a row of a running total reaches back to is then assumed to be earlier.
func (r *remains) Lineage(ctx context.Context, partition uint32, rows []uint32) ([]ulid.ULID, []uint64, error) {
	if q, ok := r.Queryable.(query.Descended); ok {
		return q.Lineage(ctx, partition, rows)
	}
	return nil, nil, nil
}

var _ query.Descended = (*remains)(nil)
