package db

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// The list by time finds what looking at every block finds.
func TestOverlapping(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		set := blockSet{byID: map[ulid.ULID]*localBlock{}}
		for i := range rng.IntN(30) {
			from := profile.UnixMilli(rng.IntN(100))
			meta := &block.Meta{ID: ulid.ULID{15: byte(i)}, MinTime: from, MaxTime: from + profile.UnixMilli(rng.IntN(1+rng.IntN(60)))}
			b, err := block.Open(t.Context(), meta, nil)
			require.NoError(t, err)
			set.add(&localBlock{Block: b})
		}
		for id := range set.byID {
			if rng.IntN(4) == 0 {
				set.remove(id)
			}
		}
		for range 50 {
			from := profile.UnixMilli(rng.IntN(120) - 10)
			r := profile.TimeRange{Start: from, End: from + profile.UnixMilli(rng.IntN(20))}
			if rng.IntN(10) == 0 {
				r = profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}
			}
			var want []*localBlock
			for _, b := range set.byID {
				if b.TimeRange().Overlaps(r) {
					want = append(want, b)
				}
			}
			require.ElementsMatch(t, want, slices.Collect(set.overlapping(r)))
		}
	}
}

func TestGaps(t *testing.T) {
	r := func(from, to profile.UnixMilli) profile.TimeRange { return profile.TimeRange{Start: from, End: to} }
	for _, c := range []struct {
		in          profile.TimeRange
		taken, want []profile.TimeRange
	}{
		{r(0, 9), nil, []profile.TimeRange{r(0, 9)}},
		{r(0, 9), []profile.TimeRange{r(10, 20)}, []profile.TimeRange{r(0, 9)}},
		{r(0, 9), []profile.TimeRange{r(0, 9)}, nil},
		{r(0, 9), []profile.TimeRange{r(-5, 3)}, []profile.TimeRange{r(4, 9)}},
		{r(0, 9), []profile.TimeRange{r(2, 3), r(5, 5), r(9, 12)}, []profile.TimeRange{r(0, 1), r(4, 4), r(6, 8)}},
		{r(math.MinInt64, math.MaxInt64), []profile.TimeRange{r(0, math.MaxInt64)}, []profile.TimeRange{r(math.MinInt64, -1)}},
	} {
		require.Equal(t, c.want, gaps(c.in, c.taken), "%v without %v", c.in, c.taken)
	}
}
