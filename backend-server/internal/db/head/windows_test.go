package head_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// added are values by unit and stack.
type added map[[2]int64]int64

func (a added) add(r *query.Row) error {
	total := int64(0)
	for i, stack := range r.Stacks {
		a[[2]int64{r.Unit, int64(stack)}] += r.Values[i]
		total += r.Values[i]
	}
	if total != r.Total || len(r.Stacks) != r.N || len(r.Values) != r.N {
		return fmt.Errorf("row of %d samples with total %d: total is %d of %d samples", len(r.Stacks), total, r.Total, r.N)
	}
	return nil
}

// requireSums compares the sums of every group with its rows.
func requireSums(t *testing.T, h *head.Head, r profile.TimeRange) (rows, parts int) {
	t.Helper()
	ctx := context.Background()
	for i := range h.Partitions() {
		groups, err := h.Groups(ctx, uint32(i))
		require.NoError(t, err)
		for _, g := range groups {
			require.True(t, slices.IsSorted(g.Rows))
			if g.Step == 0 {
				continue
			}
			want, got := added{}, added{}
			require.NoError(t, h.Scan(ctx, query.ScanRequest{Partition: uint32(i), Rows: g.Rows, Range: r}, func(row *query.Row) error {
				rows++
				return want.add(row)
			}))
			ok, err := h.ScanSums(ctx, uint32(i), g, r, func(row *query.Row) error {
				parts++
				require.Zero(t, row.Time%query.SumWindow)
				return got.add(row)
			})
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, want, got)
		}
	}
	return rows, parts
}

// windows is a range of n windows that begins with window first.
func windows(first, n profile.UnixMilli) profile.TimeRange {
	begin := start - start%query.SumWindow + first*query.SumWindow
	return profile.TimeRange{Start: begin, End: begin + n*query.SumWindow - 1}
}

func TestSumsAddUpToTheRows(t *testing.T) {
	for _, inOrder := range []bool{true, false} {
		gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(5, 6)), Start: start, Length: 3_600_000}
		var recs []profile.Record
		for range 400 {
			recs = append(recs, gen.Record())
		}
		if inOrder {
			slices.SortStableFunc(recs, func(a, b profile.Record) int { return int(a.Time - b.Time) })
		}
		log := new(recordingLog)
		h := head.New(ulid.ULID{1}, log)
		for i := range recs {
			require.Nil(t, h.Append(context.Background(), []*profile.Record{&recs[i]}))
		}
		rows, parts := requireSums(t, h, windows(0, 14))
		require.Positive(t, parts)
		if inOrder {
			require.Less(t, parts, rows, "nothing was summed")
		}
		requireSums(t, h, windows(3, 4))
		requireSums(t, h, windows(-10, 2))

		again := head.New(ulid.ULID{1}, nil)
		for _, r := range log.records {
			require.NoError(t, again.Replay(r))
		}
		replayedRows, replayedParts := requireSums(t, again, windows(0, 14))
		require.Equal(t, []int{rows, parts}, []int{replayedRows, replayedParts})
	}
}

func TestSumsOfAGroupThatGrewAreRefused(t *testing.T) {
	h, _, _ := fill(t, 200)
	groups, err := h.Groups(context.Background(), 0)
	require.NoError(t, err)
	i := slices.IndexFunc(groups, func(g query.Group) bool { return g.Step != 0 })
	require.GreaterOrEqual(t, i, 0)
	known := groups[i]
	known.Rows = known.Rows[1:]
	ok, err := h.ScanSums(context.Background(), 0, known, windows(0, 14), func(*query.Row) error {
		t.Fatal("a row of a group that is another by now")
		return nil
	})
	require.NoError(t, err)
	require.False(t, ok)
}

func TestSumsBeyond64BitsAreNone(t *testing.T) {
	h := head.New(ulid.ULID{1}, new(recordingLog))
	for i := range 3 {
		rec := profile.Record{
			ID: uint64(i), Time: start, SampleEnd: 1,
			Labels: labels.FromStrings("__name__", "memory", "service_name", "a", "pod", fmt.Sprint(i)),
			Profile: &profile.Profile{
				Types: []profile.ValueType{{Type: "inuse_space", Unit: "bytes"}}, Strings: []string{""},
				Mappings: make([]profile.Mapping, 1), Samples: make([]profile.Sample, 1), Values: []int64{math.MaxInt64 / 2},
			},
		}
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
		groups, err := h.Groups(context.Background(), 0)
		require.NoError(t, err)
		require.Len(t, groups, 1)
		require.Len(t, groups[0].Rows, i+1)
		require.Equal(t, i == 1, groups[0].Step == query.SumWindow, "after %d profiles", i+1)
	}
}
