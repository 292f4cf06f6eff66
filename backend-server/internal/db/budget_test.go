package db_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func openBudget(t *testing.T, b *db.Budget, tenant string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), tenant, db.Options{FS: vfs.NewMem(), Budget: b})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// fill appends profiles, one at a time, until one is refused. It returns those
// that were not and the refusal.
func fill(t *testing.T, d *db.DB, gen *dbtest.Generator) ([]profile.Record, error) {
	t.Helper()
	var kept []profile.Record
	for range 10_000 {
		rec := gen.Record()
		if errs := d.Append(context.Background(), []profile.Record{rec}); errs != nil {
			return kept, errs[0]
		}
		kept = append(kept, rec)
	}
	t.Fatal("the bound is never reached")
	return nil, nil
}

func newGenerator(seed uint64) *dbtest.Generator {
	return &dbtest.Generator{Rng: rand.New(rand.NewPCG(seed, 5)), Start: start, Length: time.Minute.Milliseconds()}
}

// A full budget refuses after a while, says what is full, and takes profiles
// again once a head has become blocks.
func TestBudgetRefusesAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pressed := 0
		limits := db.BudgetLimits{Bytes: 200_000, Wait: 2 * time.Second, Pressed: func() { pressed++ }}
		d := openBudget(t, db.NewBudget(limits), "a")
		gen := newGenerator(1)
		begin := time.Now()
		kept, err := fill(t, d, gen)
		require.Equal(t, limits.Wait, time.Since(begin), "only the last one had to wait")
		require.True(t, fault.Is(err, fault.Exhausted))
		require.Equal(t, db.ReasonHeadFull, fault.ReasonOf(err))
		require.ErrorContains(t, err, "of 200000 (-db.head-max-bytes)")
		require.NotZero(t, pressed)
		require.Greater(t, d.HeadStats().Bytes, limits.Bytes/2)

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		errs := d.Append(ctx, []profile.Record{gen.Record()})
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)

		var twin dbtest.Twin
		twin.Add(kept...)
		waiting := gen.Record()
		var wg sync.WaitGroup
		wg.Go(func() {
			require.Nil(t, d.Append(context.Background(), []profile.Record{waiting}), "who waits gets in")
		})
		synctest.Wait()
		require.NoError(t, d.Flush(context.Background()))
		wg.Wait()
		twin.Add(waiting)
		compareAll(t, d, &twin, "nothing lost, nothing of the refused kept")
	})
}

// One tenant that sends too much is refused for itself.
func TestBudgetOfATenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := db.NewBudget(db.BudgetLimits{Bytes: 400_000, TenantBytes: 150_000, Wait: time.Second})
		greedy, modest := openBudget(t, b, "a"), openBudget(t, b, "b")
		_, err := fill(t, greedy, newGenerator(1))
		require.ErrorContains(t, err, "the tenant's")
		require.ErrorContains(t, err, "of 150000 (-db.head-max-tenant-bytes)")
		require.True(t, greedy.Due(time.Now()), "a head that is large for a tenant is cut")
		require.False(t, modest.Due(time.Now()))
		require.Nil(t, modest.Append(context.Background(), []profile.Record{newGenerator(2).Record()}))
		require.Equal(t, greedy.HeadStats().Bytes+modest.HeadStats().Bytes, b.Used())
		require.NoError(t, greedy.Close())
		require.Equal(t, modest.HeadStats().Bytes, b.Used())
	})
}

// Many at once do not get past the bound together: it is passed by one batch,
// and what a table that doubles takes ahead of need, at the most.
func TestBudgetHoldsUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 300_000
		b := db.NewBudget(db.BudgetLimits{Bytes: limit, Wait: 10 * time.Millisecond})
		dbs := []*db.DB{openBudget(t, b, "a"), openBudget(t, b, "b")}
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused, most, batch := 0, int64(0), int64(0)
		for i := range 8 {
			wg.Go(func() {
				gen := newGenerator(uint64(i))
				for range 300 {
					rec := gen.Record()
					rec.ID += uint64(i) << 32
					errs := dbs[i%2].Append(context.Background(), []profile.Record{rec})
					used := b.Used()
					mu.Lock()
					if errs != nil {
						require.True(t, fault.Is(errs[0], fault.Exhausted), "%v", errs[0])
						refused++
					}
					batch = max(batch, db.Estimate([]profile.Record{rec}))
					most = max(most, used)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.NotZero(t, refused)
		// A table that doubles takes more than the record that makes it.
		const ahead = limit / 16
		require.LessOrEqual(t, most, limit+batch+ahead)
	})
}

// What is set aside for a record must be no less than what it comes to.
func TestEstimateIsEnough(t *testing.T) {
	for _, s := range sources {
		d, err := db.Open(context.Background(), "data", db.Options{FS: vfs.NewMem()})
		require.NoError(t, err)
		for _, rec := range draw(t, s, 50) {
			before := d.HeadStats().Bytes
			require.Nil(t, d.Append(context.Background(), []profile.Record{rec}))
			require.LessOrEqual(t, d.HeadStats().Bytes-before, db.Estimate([]profile.Record{rec}))
		}
		require.NoError(t, d.Close())
	}
}
