package replica_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// watched is a block that notes which ranges rows are read of.
type watched struct {
	*block.Block
	mu      sync.Mutex
	scanned []profile.TimeRange
}

func (w *watched) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	w.mu.Lock()
	w.scanned = append(w.scanned, req.Range)
	w.mu.Unlock()
	return w.Block.Scan(ctx, req, fn)
}

// bare hides everything of a unit that a query.Queryable need not have.
type bare struct{ query.Queryable }

// Of a block with digests, rows are read where a range cuts an hour and nowhere
// else, and what it shows is the same as without.
func TestStoredDigests(t *testing.T) {
	ctx := t.Context()
	rng := rand.New(rand.NewPCG(1, 2))
	gen := &dbtest.Generator{Rng: rng, Start: start, Length: (4 * time.Hour).Milliseconds()}
	d, err := db.Open(ctx, t.TempDir(), db.Options{MaxBlockDuration: 24 * time.Hour})
	require.NoError(t, err)
	defer d.Close()
	var recs []profile.Record
	for range 400 {
		recs = append(recs, gen.Record(), gen.Counter())
	}
	require.Nil(t, d.Append(ctx, recs))
	require.NoError(t, d.Flush(ctx))
	blocks := d.Unshipped()
	require.NotEmpty(t, blocks)
	for _, of := range blocks {
		b, err := block.OpenDir(filepath.Clean(of.Dir))
		require.NoError(t, err)
		defer b.Close()
		has := b.TimeRange()
		for i := range 40 {
			sel := replica.Selection{Range: has}
			if i > 0 {
				sel.Range.Start += profile.UnixMilli(rng.Int64N(int64(has.End-has.Start) + 1))
				sel.Range.End -= profile.UnixMilli(rng.Int64N(int64(has.End-sel.Range.Start) + 1))
			}
			w := &watched{Block: b}
			got, err := replica.NewDigester(0).Take(ctx, []query.Queryable{w}, sel)
			require.NoError(t, err)
			want, err := replica.NewDigester(0).Take(ctx, []query.Queryable{bare{b}}, sel)
			require.NoError(t, err)
			require.Equal(t, want.Units(), got.Units())
			require.False(t, i == 0 && len(w.scanned) > 0, "the block as a whole")
			if i == 0 {
				requireUnknownReach(t, b, got.Units()[0].Entries)
			}
			for _, r := range w.scanned {
				require.Less(t, int64(r.End-r.Start), int64(replica.Window-1), "whole hours are not read")
			}
		}
	}
}

// reachless is a block of an earlier version: it has digests that say nothing of
// when running totals grew.
type reachless struct{ *block.Block }

func (r reachless) Digests(ctx context.Context, partition uint32, rows []uint32) ([]query.RowsDigest, bool, error) {
	out, ok, err := r.Block.Digests(ctx, partition, rows)
	for i := range out {
		out[i].Reach = query.Reach{}
	}
	return out, ok, err
}

// requireUnknownReach shows a block without saying how far its rows reach: they
// may reach as far as can be, rather than nowhere.
func requireUnknownReach(t *testing.T, b *block.Block, known []replica.Entry) {
	t.Helper()
	got, err := replica.NewDigester(0).Take(t.Context(), []query.Queryable{reachless{b}}, replica.Selection{Range: b.TimeRange()})
	require.NoError(t, err)
	counters := 0
	for i, e := range got.Units()[0].Entries {
		want := query.Reach{}
		if e.Counter {
			counters++
			require.Greater(t, known[i].Reach.Begin, profile.UnixMilli(0))
			want = query.Reach{Begin: math.MinInt64, End: query.WindowRange(e.Window).End}
		}
		require.Equal(t, want, e.Reach)
	}
	require.NotZero(t, counters)
}
