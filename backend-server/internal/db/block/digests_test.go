package block_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// scanned digests the rows of a partition one by one.
func scanned(t *testing.T, b *block.Block, partition uint32, rows []uint32) []query.RowsDigest {
	t.Helper()
	var out []query.RowsDigest
	req := query.ScanRequest{Partition: partition, Rows: rows, Range: always, TotalsOnly: true}
	require.NoError(t, b.Scan(context.Background(), req, func(r *query.Row) error {
		if n := len(out); n == 0 || out[n-1].Rows != r.Rows || out[n-1].Window != query.WindowOf(r.Time) {
			out = append(out, query.RowsDigest{Rows: r.Rows, Window: query.WindowOf(r.Time)})
		}
		out[len(out)-1].Add(r.ID, r.Total)
		return nil
	}))
	return out
}

// allRows are the row series of a block by partition.
func allRows(t *testing.T, b *block.Block) map[uint32][]uint32 {
	t.Helper()
	series, err := b.Select(context.Background())
	require.NoError(t, err)
	out := map[uint32][]uint32{}
	for _, s := range series {
		out[s.Partition] = append(out[s.Partition], s.Rows)
	}
	for p := range out {
		slices.Sort(out[p])
		out[p] = slices.Compact(out[p])
	}
	return out
}

// What a block says of its rows is what they are.
func TestStoredDigests(t *testing.T) {
	h, _ := fill(t, 400)
	b, err := block.OpenDir(store(t, h, block.Options{}))
	require.NoError(t, err)
	defer b.Close()
	n := 0
	for p, rows := range allRows(t, b) {
		stored, ok, err := b.Digests(context.Background(), p, rows)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, scanned(t, b, p, rows), stored)
		n += len(stored)
		some, _, err := b.Digests(context.Background(), p, append(rows[:1:1], math.MaxUint32))
		require.NoError(t, err)
		require.Equal(t, scanned(t, b, p, rows[:1]), some)
	}
	require.NotZero(t, n)
}

// A block from before there were digests says that it has none.
func TestNoStoredDigests(t *testing.T) {
	b, err := block.OpenDir(filepath.Join("testdata", "v1"))
	require.NoError(t, err)
	defer b.Close()
	_, ok, err := b.Digests(context.Background(), 0, []uint32{0})
	require.NoError(t, err)
	require.False(t, ok)
}

// Of a block over many hours, a short range finds exactly its rows.
func TestShortRangesOfManyHours(t *testing.T) {
	b, err := block.OpenDir(store(t, steady(t, 6, 7, 3), block.Options{}))
	require.NoError(t, err)
	defer b.Close()
	for p, rows := range allRows(t, b) {
		var times []profile.UnixMilli
		req := query.ScanRequest{Partition: p, Rows: rows, Range: always, TotalsOnly: true}
		require.NoError(t, b.Scan(t.Context(), req, func(r *query.Row) error { times = append(times, r.Time); return nil }))
		has := b.TimeRange()
		for from := has.Start - 1; from <= has.End+1; from += 17 * 60 * 1000 {
			for _, length := range []profile.UnixMilli{1, 59 * 60 * 1000, 60 * 60 * 1000, 3 * 60 * 60 * 1000} {
				req.Range = profile.TimeRange{Start: from, End: from + length - 1}
				want, got := 0, 0
				for _, at := range times {
					if req.Range.Contains(at) {
						want++
					}
				}
				require.NoError(t, b.Scan(t.Context(), req, func(*query.Row) error { got++; return nil }))
				require.Equal(t, want, got, "%v", req.Range)
			}
		}
	}
}

// contents reads the files of a block.
func contents(t *testing.T, dir string) (*block.Meta, []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, block.MetaFile))
	require.NoError(t, err)
	meta, err := block.ReadMeta(raw)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, block.DataFile))
	require.NoError(t, err)
	return meta, data
}

// Digests that do not fit the rows are found out.
func TestWrongDigests(t *testing.T) {
	h, _ := fill(t, 40)
	meta, data := contents(t, store(t, h, block.Options{}))
	var of [2][]byte
	for i, name := range []string{"digests", "series"} {
		for _, s := range meta.Sections {
			if s.Name == name {
				of[i] = data[s.Offset : s.Offset+s.Size]
			}
		}
	}
	require.NotEmpty(t, of[0])
	require.NotEmpty(t, of[1])
	for i := range meta.Sections {
		if s := &meta.Sections[i]; s.Name == "digests" {
			s.Offset, s.Size, s.CRC = int64(len(data)), int64(len(of[1])), block.Checksum(of[1])
		}
	}
	whole := append(append(memorySource(nil), data...), of[1]...)
	meta.Files[0].Size = int64(len(whole))
	b, err := block.Open(t.Context(), meta, whole)
	require.NoError(t, err)
	_, err = b.Select(t.Context())
	require.Error(t, err)
	requireCorrupt(t, []error{err})
}
