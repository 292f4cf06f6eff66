package block_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// steady returns a head of one service for each of perHour, with so many
// profiles an hour, for hours on end, of which each has two thirds of twenty
// stacks. Some values change from profile to profile, most do not.
func steady(t testing.TB, hours int, perHour ...int) *head.Head {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, uint64(hours)))
	h := head.New(ulid.ULID{1}, memoryLog{})
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprint("fn", i)
	}
	whole := flat(names)
	first := start - start%3_600_000
	id := 0
	for service, n := range perHour {
		for k := range n * hours {
			p := whole
			p.Samples, p.Values = nil, nil
			for i := range names {
				if rng.IntN(3) > 0 {
					v := int64(i*1000 + 1)
					if rng.IntN(4) == 0 {
						v += rng.Int64N(100)
					}
					p.Samples, p.Values = append(p.Samples, whole.Samples[i]), append(p.Values, v)
				}
			}
			id++
			rec := record(id, fmt.Sprint("service-", service), &p)
			rec.Labels = labels.NewBuilder(rec.Labels).Set("pod", fmt.Sprint("pod-", k%3)).Labels()
			rec.Time = first + profile.UnixMilli(k*3_600_000/n+rng.IntN(3_600_000/n))
			require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
		}
	}
	return h
}

var always = profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}

// store writes a block and returns its directory.
func store(t testing.TB, in block.Input, o block.Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "block")
	_, err := block.WriteWith(context.Background(), vfs.OS{}, dir, ulid.ULID{2}, in, always, o)
	require.NoError(t, err)
	return dir
}

func open(t testing.TB, dir string) *block.Block {
	t.Helper()
	b, err := block.OpenDir(dir)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

// summedBlock returns a small block that has everything: sums, changes, several
// partitions, and what the golden one has.
func summedBlock(t testing.TB) (memorySource, *block.Meta) {
	t.Helper()
	h := steady(t, 2, 300, 12)
	small, _ := fill(t, 20)
	dir := store(t, joined{[]block.Input{h, small}}, block.Options{})
	data, err := os.ReadFile(filepath.Join(dir, block.DataFile))
	require.NoError(t, err)
	return data, open(t, dir).Meta()
}

// sums adds rows up by stack and unit.
type sums struct {
	total map[int64]int64
	value map[[2]int64]int64 // by unit and stack
}

func newSums() sums { return sums{map[int64]int64{}, map[[2]int64]int64{}} }

func (s sums) add(r *query.Row) error {
	s.total[r.Unit] += r.Total
	for i, stack := range r.Stacks {
		s.value[[2]int64{r.Unit, int64(stack)}] += r.Values[i]
	}
	return nil
}

// Sums are exactly the rows of their time, for every range that they can be
// asked for, and they are there where they pay.
func TestSums(t *testing.T) {
	ctx := context.Background()
	b := open(t, store(t, steady(t, 3, 600, 72, 3), block.Options{}))
	parts, err := b.Partitions(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"service-0", "service-1", "service-2"}, parts)
	for p, step := range []profile.UnixMilli{query.SumWindow, 3_600_000, 0} {
		groups, err := b.Groups(ctx, uint32(p))
		require.NoError(t, err)
		require.Len(t, groups, 1)
		g := groups[0]
		require.Equal(t, step, g.Step, "%s", parts[p])
		if step == 0 {
			ok, err := b.ScanSums(ctx, uint32(p), g, everything, func(*query.Row) error { return nil })
			require.NoError(t, err)
			require.False(t, ok)
			continue
		}
		first := start - start%3_600_000
		hour := int(3_600_000 / step)
		for from := 0; from < 4*hour; from += 1 + from%3 {
			for to := from + 1; to <= 4*hour; to += 1 + to%5 {
				r := profile.TimeRange{Start: first + profile.UnixMilli(from-hour/2)*step, End: first + profile.UnixMilli(to-hour/2)*step - 1}
				want, got := newSums(), newSums()
				require.NoError(t, b.Scan(ctx, query.ScanRequest{Partition: uint32(p), Rows: g.Rows, Range: r}, want.add))
				rows := 0
				ok, err := b.ScanSums(ctx, uint32(p), g, r, func(row *query.Row) error {
					rows++
					require.Equal(t, g.Index, row.Rows)
					require.True(t, r.Contains(row.Time))
					return got.add(row)
				})
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, want, got, "%s, %+v", parts[p], r)
				require.LessOrEqual(t, rows, 24+4, "hours are taken whole")
			}
		}
	}
}

// Where a sum does not fit there are none, and the rows are as they were.
func TestSumsThatDoNotFit(t *testing.T) {
	h := head.New(ulid.ULID{1}, memoryLog{})
	for i := range 100 {
		p := flat([]string{"f"})
		p.Values = []int64{math.MaxInt64 / 40}
		rec := record(i+1, "s", &p)
		rec.Time = start + profile.UnixMilli(i)
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
	}
	b := open(t, store(t, h, block.Options{}))
	groups, err := b.Groups(context.Background(), 0)
	require.NoError(t, err)
	require.Len(t, groups, 1)
	require.Zero(t, groups[0].Step)
	rows := 0
	require.NoError(t, b.Scan(context.Background(), query.ScanRequest{Rows: groups[0].Rows, Range: always}, func(r *query.Row) error {
		rows++
		require.Equal(t, []int64{math.MaxInt64 / 40}, r.Values)
		return nil
	}))
	require.Equal(t, 100, rows)
}

// copied is a row that outlives its scan.
func copied(r *query.Row) query.Row {
	c := *r
	c.Rows, c.Stacks, c.Values, c.Spans = 0, slices.Clone(r.Stacks), slices.Clone(r.Values), slices.Clone(r.Spans)
	return c
}

// Any part of the rows of any series, by any range, is what all rows have of
// it, with compression and without.
func TestPartsOfRows(t *testing.T) {
	ctx := context.Background()
	h := steady(t, 2, 4500, 36)
	rng := rand.New(rand.NewPCG(2, 3))
	for _, c := range []table.Compression{table.Zstd, table.None} {
		b := open(t, store(t, h, block.Options{Compression: c}))
		for p := range uint32(2) {
			groups, err := b.Groups(ctx, p)
			require.NoError(t, err)
			all := map[uint32][]query.Row{}
			require.NoError(t, b.Scan(ctx, query.ScanRequest{Partition: p, Rows: groups[0].Rows, Range: always, Spans: true}, func(r *query.Row) error {
				all[r.Rows] = append(all[r.Rows], copied(r))
				return nil
			}))
			require.Len(t, all, 3)
			for range 60 {
				rows := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(uint32) bool { return rng.IntN(3) == 0 })
				from := start + profile.UnixMilli(rng.IntN(7_200_000))
				req := query.ScanRequest{Partition: p, Rows: rows, Range: profile.TimeRange{Start: from, End: from + profile.UnixMilli(rng.IntN(1<<rng.IntN(24)))}}
				var want, got []query.Row
				for _, s := range rows {
					for _, r := range all[s] {
						if req.Range.Contains(r.Time) {
							want = append(want, r)
						}
					}
				}
				b.Forget()
				require.NoError(t, b.Scan(ctx, req, func(r *query.Row) error {
					got = append(got, copied(r))
					return nil
				}))
				require.Equal(t, want, got)
				got = nil
				req.TotalsOnly = true
				for i := range want {
					want[i].Stacks, want[i].Values = nil, nil
				}
				require.NoError(t, b.Scan(ctx, req, func(r *query.Row) error {
					got = append(got, copied(r))
					return nil
				}))
				require.Equal(t, want, got)
			}
		}
	}
}

// Forgetting harms nobody who is reading.
func TestForgetWhileReading(t *testing.T) {
	ctx := context.Background()
	b := open(t, store(t, steady(t, 1, 600, 600), block.Options{}))
	var g errgroup.Group
	for p := range uint32(2) {
		g.Go(func() error {
			for range 30 {
				groups, err := b.Groups(ctx, p)
				if err != nil {
					return err
				}
				rows := 0
				err = b.Scan(ctx, query.ScanRequest{Partition: p, Rows: groups[0].Rows, Range: always}, func(*query.Row) error {
					rows++
					return nil
				})
				if err != nil || rows != 600 {
					return fmt.Errorf("%d rows: %w", rows, err)
				}
				if _, err := b.Symbols(ctx, p); err != nil {
					return err
				}
				b.Forget()
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
}

// A scan ends soon after its context.
func TestCancelled(t *testing.T) {
	b := open(t, store(t, steady(t, 1, 600), block.Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	groups, err := b.Groups(ctx, 0)
	require.NoError(t, err)
	rows := 0
	err = b.Scan(ctx, query.ScanRequest{Rows: groups[0].Rows, Range: always}, func(*query.Row) error {
		rows++
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, rows, 64)
}

// The data file is a Parquet file of the rows.
func TestDataIsParquet(t *testing.T) {
	h := steady(t, 1, 120)
	data, err := os.ReadFile(filepath.Join(store(t, h, block.Options{}), block.DataFile))
	require.NoError(t, err)
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	require.Equal(t, int64(120), f.NumRows())
	var names []string
	for _, c := range f.Schema().Columns() {
		names = append(names, c...)
	}
	require.Equal(t, []string{"time", "id", "total", "unit", "n", "relative", "stacks", "values"}, names)
}

// countingSource counts reads.
type countingSource struct {
	block.Source
	reads int
}

func (s *countingSource) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	s.reads++
	return s.Source.ReadAt(ctx, name, p, off)
}

// One read opens a block and tells where everything is, one gets the symbols of
// a partition, one its rows, and what was read once is not read again.
func TestReads(t *testing.T) {
	ctx := context.Background()
	data, meta := summedBlock(t)
	src := &countingSource{Source: data}
	b, err := block.Open(ctx, meta, src)
	require.NoError(t, err)
	reads := func() int {
		n := src.reads
		src.reads = 0
		return n
	}
	require.Zero(t, reads())
	series, err := b.Select(ctx, labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, "service-0"))
	require.NoError(t, err)
	require.NotEmpty(t, series)
	groups, err := b.Groups(ctx, series[0].Partition)
	require.NoError(t, err)
	require.Equal(t, query.SumWindow, groups[0].Step)
	require.Equal(t, 1, reads(), "the tail")
	for _, want := range []int{1, 0} {
		_, err = b.Symbols(ctx, series[0].Partition)
		require.NoError(t, err)
		require.Equal(t, want, reads(), "symbols")
	}
	nothing := func(*query.Row) error { return nil }
	for range 2 {
		require.NoError(t, b.Scan(ctx, query.ScanRequest{Partition: series[0].Partition, Rows: groups[0].Rows, Range: always}, nothing))
		require.Equal(t, 1, reads(), "rows")
		ok, err := b.ScanSums(ctx, series[0].Partition, groups[0], profile.TimeRange{End: 1 << 50 / query.SumWindow * query.SumWindow}, nothing)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, 1, reads(), "sums")
	}
	require.NoError(t, b.Scan(ctx, query.ScanRequest{Partition: series[0].Partition, Rows: groups[0].Rows, Range: always, TotalsOnly: true}, nothing))
	require.Zero(t, reads(), "totals are kept")
	b.Forget()
	_, err = b.Select(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, reads(), "the tail again")
}
