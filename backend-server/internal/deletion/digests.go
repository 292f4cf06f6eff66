package deletion

import (
	"cmp"
	"context"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Digests implements query.Digested: the unit's, but for windows of which a part
// is deleted. Of these, rows are read; a rule makes two such windows at most, for
// of those between its ends nothing is left.
func (r *remains) Digests(ctx context.Context, partition uint32, rows []uint32) ([]query.RowsDigest, bool, error) {
	q, ok := r.Queryable.(query.Digested)
	if !ok {
		return nil, false, nil
	}
	gone, err := r.gone(ctx, partition, rows)
	if err != nil {
		return nil, false, err
	}
	list, ok, err := q.Digests(ctx, partition, rows)
	if err != nil || !ok {
		return nil, false, err
	}
	has := r.Queryable.TimeRange()
	out := make([]query.RowsDigest, 0, len(list))
	cut := map[int64][]query.RowsDigest{} // by window
	for _, d := range list {
		at, _ := slices.BinarySearch(rows, d.Rows)
		window := query.WindowRange(d.Window)
		window = profile.TimeRange{Start: max(window.Start, has.Start), End: min(window.End, has.End)}
		switch {
		case covered(gone[at], window):
		case overlap(gone[at], window):
			cut[d.Window] = append(cut[d.Window], d)
		default:
			out = append(out, d)
		}
	}
	for _, whole := range cut {
		some, err := r.digest(ctx, partition, whole)
		if err != nil {
			return nil, false, err
		}
		out = append(out, some...)
	}
	slices.SortFunc(out, func(a, b query.RowsDigest) int {
		return cmp.Or(cmp.Compare(a.Rows, b.Rows), cmp.Compare(a.Window, b.Window))
	})
	return out, true, nil
}

// digest reads what is left of some row series in a window, of which the unit has
// the digests whole.
func (r *remains) digest(ctx context.Context, partition uint32, whole []query.RowsDigest) ([]query.RowsDigest, error) {
	found, rows := make([]query.RowsDigest, len(whole)), make([]uint32, len(whole))
	for i, d := range whole {
		found[i].Rows, found[i].Window, rows[i] = d.Rows, d.Window, d.Rows
	}
	req := query.ScanRequest{Partition: partition, Rows: rows, Range: query.WindowRange(whole[0].Window), TotalsOnly: true, Since: true}
	err := r.Scan(ctx, req, func(row *query.Row) error {
		at, _ := slices.BinarySearch(rows, row.Rows)
		found[at].Add(row.ID, row.Total)
		if whole[at].Reach != (query.Reach{}) {
			found[at].Reach.Merge(query.ReachOf(row.Time, row.Since))
		}
		return nil
	})
	return slices.DeleteFunc(found, func(d query.RowsDigest) bool { return d.Count == 0 }), err
}

var _ query.Digested = (*remains)(nil)
