package replica

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// stored returns the digests of row series from what the unit has of them ready.
// Only where a window reaches out of the question's range are rows read. It
// returns false if the unit has nothing ready.
func stored(ctx context.Context, u *unit, keys []rowsKey) ([]digestedPart, bool, error) {
	q, ok := u.Queryable.(query.Digested)
	if !ok || u.growing {
		return nil, false, nil
	}
	var out []digestedPart
	cut := map[int64][]rowsKey{} // row series by window
	for from := 0; from < len(keys); {
		partition := keys[from].partition
		var rows []uint32
		for ; from < len(keys) && keys[from].partition == partition; from++ {
			rows = append(rows, keys[from].rows)
		}
		list, ok, err := q.Digests(ctx, partition, rows)
		if err != nil || !ok {
			return nil, false, err
		}
		for _, d := range list {
			key := rowsKey{partition, d.Rows}
			switch has := common(query.WindowRange(d.Window), u.TimeRange()); {
			case !has.Overlaps(u.in):
			case common(has, u.in) == has:
				out = append(out, digestedPart{key, d.Window, Digest(d.Digest), d.Reach})
			default:
				cut[d.Window] = append(cut[d.Window], key)
			}
		}
	}
	parts, err := digestCut(ctx, u, cut)
	if err != nil {
		return nil, false, err
	}
	out = append(out, parts...)
	slices.SortFunc(out, digestedPart.compare)
	return out, true, nil
}

// digestCut reads the rows of the windows that the range cuts. There are two at
// most.
func digestCut(ctx context.Context, u *unit, cut map[int64][]rowsKey) ([]digestedPart, error) {
	g, ctx := errgroup.WithContext(ctx)
	found := make([][]digestedPart, 0, len(cut))
	for window, keys := range cut {
		found = append(found, nil)
		into := &found[len(found)-1]
		g.Go(func() (err error) {
			*into, err = digest(ctx, u, keys, common(query.WindowRange(window), u.in))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// common returns the times that lie in both ranges.
func common(a, b profile.TimeRange) profile.TimeRange {
	return profile.TimeRange{Start: max(a.Start, b.Start), End: min(a.End, b.End)}
}
