package db_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// everyTime is a range of all times that the tests use.
var everyTime = profile.TimeRange{Start: start, End: start + 100_000_000}

// crowd is a database that many goroutines use at once.
type crowd struct {
	t    *testing.T
	db   *db.DB
	recs []profile.Record
}

func newCrowd(t *testing.T, records int) *crowd {
	d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(9, 9)), Start: start, Length: (2 * time.Hour).Milliseconds()}
	c := &crowd{t: t, db: d}
	for range records {
		c.recs = append(c.recs, gen.Record())
	}
	return c
}

// append sends every record, in an order of its own, in batches in which some
// are there twice.
func (c *crowd) append(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 2))
	order := rng.Perm(len(c.recs))
	for len(order) > 0 {
		n := min(len(order), 1+rng.IntN(5))
		batch := []profile.Record{c.recs[order[0]]}
		for _, i := range order[:n] {
			batch = append(batch, c.recs[i])
		}
		order = order[n:]
		for _, err := range c.db.Append(context.Background(), batch) {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *crowd) total(view *db.View) (int64, error) {
	tree, err := query.Tree(context.Background(), view.Units, query.Selection{Type: dbtest.Types[0], Range: everyTime})
	if err != nil {
		return 0, err
	}
	return tree.Total(), nil
}

// watch asks until done is closed; what it sees must only grow.
func (c *crowd) watch(done <-chan struct{}) error {
	last := int64(0)
	for {
		view := c.db.View(everyTime)
		for range 2 {
			sum, err := c.total(view)
			if err != nil {
				view.Release()
				return err
			}
			if sum < last {
				c.t.Errorf("total %d after %d", sum, last)
			}
			last = sum
		}
		view.Release()
		select {
		case <-done:
			return nil
		default:
		}
	}
}

// While profiles arrive, several times each and at once, and heads become
// blocks, nobody sees one twice or not any more.
func TestEverythingAtOnce(t *testing.T) {
	c := newCrowd(t, 400)
	done := make(chan struct{})
	var appenders, others errgroup.Group
	for i := range uint64(3) {
		appenders.Go(func() error { return c.append(i) })
	}
	others.Go(func() error { return c.watch(done) })
	others.Go(func() error { return c.watch(done) })
	others.Go(func() error {
		for {
			if err := c.db.Flush(context.Background()); err != nil {
				return err
			}
			for _, b := range c.db.Unshipped() {
				if err := c.db.MarkShipped(b.ID, time.Now()); err != nil {
					return err
				}
			}
			c.db.HeadStats()
			select {
			case <-done:
				return nil
			case <-time.After(30 * time.Millisecond):
			}
		}
	})
	require.NoError(t, appenders.Wait())
	close(done)
	require.NoError(t, others.Wait())
	var twin dbtest.Twin
	twin.Add(c.recs...)
	compareAll(t, c.db, &twin, "after all")
	require.NoError(t, c.db.Close())
}

// Closing waits for what is under way, and a view goes on until its release.
func TestCloseWhileInUse(t *testing.T) {
	c := newCrowd(t, 100)
	require.NoError(t, c.append(1))
	require.NoError(t, c.db.Flush(context.Background()))
	view := c.db.View(everyTime)
	want, err := c.total(view)
	require.NoError(t, err)
	for _, b := range c.db.Unshipped() {
		require.NoError(t, c.db.MarkShipped(b.ID, time.Now()))
	}
	blocks := view.Units
	var g errgroup.Group
	g.Go(c.db.Close)
	for _, u := range blocks {
		g.Go(func() error { return c.db.DropLocal(u.Origin().ID, time.Now().Add(2*time.Hour)) })
	}
	g.Go(func() error { c.append(2); return nil })
	require.NoError(t, g.Wait())
	got, err := c.total(view)
	require.NoError(t, err)
	require.Equal(t, want, got)
	view.Release()
	require.Error(t, c.db.Flush(context.Background()))
	require.Empty(t, c.db.View(everyTime).Units)
}
