package replica_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// TestOpenSessionsWhileWriting reads again and again while records come in and
// heads are cut. Every profile counts one: what is read has all that was
// acknowledged before, nothing twice, and an open session stays what it is.
func TestOpenSessionsWhileWriting(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	gen := ones()
	engine, digester := query.NewEngine(query.Limits{CallBytes: 1 << 20}), replica.NewDigester(1<<20)
	var dbs []*db.DB
	var stores []replica.Store
	for range copies {
		d, err := db.Open(ctx, "data/tenant", db.Options{FS: vfs.NewMem(), MaxBlockDuration: 2 * time.Hour})
		require.NoError(t, err)
		dbs = append(dbs, d)
		n := &node{db: d}
		stores = append(stores, replica.NewLocal(replica.ByRange(n.view), engine, digester))
	}
	var sent, acked atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			rec := gen()
			sent.Add(1)
			for n, d := range dbs {
				if i%7 != n { // each misses some
					if errs := d.Append(context.Background(), []profile.Record{rec}); errs != nil {
						t.Error(errs)
					}
				}
			}
			acked.Add(1)
		}
	})
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := dbs[i%len(dbs)].Flush(context.Background()); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	q := &question.Question{Kind: question.Series, Selection: query.Selection{Type: dbtest.Types[0]}}
	q.Grid = series.Grid{Start: start, End: start + replica.Window, StepMillis: replica.Window}
	until := time.Now().Add(3 * time.Second)
	for n := 0; time.Now().Before(until) || n < 5; n++ {
		least := acked.Load()
		r := read(t, stores, q, func() {})
		most := sent.Load()
		got := count(r.answer())
		require.GreaterOrEqual(t, got, least)
		require.LessOrEqual(t, got, most)
		time.Sleep(5 * time.Millisecond)
		require.Equal(t, got, count(r.answer()), "the same sessions")
		r.close()
	}
	cancel()
	wg.Wait()
	t.Logf("%d profiles", sent.Load())
	for _, d := range dbs {
		require.NoError(t, d.Close())
	}
}

func count(a *question.Answer) int64 {
	n := int64(0)
	for _, v := range dbtest.FlattenSeries(a.Series.Build(0), nil) {
		n += v
	}
	return n
}

// ones returns a source of profiles that count one each, now and then
// of a series that is new.
func ones() func() profile.Record {
	id := uint64(0)
	p := &profile.Profile{
		Types:      []profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Strings:    []string{"", "f"}, Mappings: []profile.Mapping{{}},
		Functions: []profile.Function{{Name: 1}}, Lines: []profile.Line{{}}, Locations: []profile.Location{{LineEnd: 1}},
		LabelSets: [][]profile.LabelPair{nil},
		Frames:    []uint32{0}, Samples: []profile.Sample{{FrameEnd: 1}}, Values: []int64{1, 10},
	}
	return func() profile.Record {
		id++
		return profile.Record{
			ID: id, Labels: labels.FromStrings(
				profile.LabelName, dbtest.Types[0].Name, profile.LabelServiceName, "api", "pod", fmt.Sprint(id/3%50)), Time: start + profile.UnixMilli(id%replica.Window), Profile: p, SampleEnd: 1,
		}
	}
}

// TestSumsInAdvance reads two blocks that have sums of their windows, of which
// one is chosen whole and the other in part: its sums hold too much.
func TestSumsInAdvance(t *testing.T) {
	ctx := context.Background()
	engine, digester := query.NewEngine(query.Limits{}), replica.NewDigester(1<<20)
	var stores []replica.Store
	var dbs []*db.DB
	for range 2 {
		d, err := db.Open(ctx, "data/tenant", db.Options{FS: vfs.NewMem()})
		require.NoError(t, err)
		defer d.Close()
		dbs = append(dbs, d)
		n := &node{db: d}
		stores = append(stores, replica.NewLocal(replica.ByRange(n.view), engine, digester))
	}
	gen := ones()
	one := gen().Labels
	const all = 3000
	for i := range all {
		rec := gen()
		rec.Labels = one // so that something of every series is chosen of both
		rec.Time = start - start%replica.Window + profile.UnixMilli(i)*replica.Window/all
		for n, d := range dbs {
			if i%1000 != n { // each misses a few
				require.Nil(t, d.Append(ctx, []profile.Record{rec}))
			}
		}
	}
	for _, d := range dbs {
		require.NoError(t, d.Flush(ctx))
	}
	for _, where := range []profile.TimeRange{{Start: 0, End: 2 * start}, {Start: start - start%replica.Window + 3*query.SumWindow, End: 2 * start}} {
		q := &question.Question{Kind: question.Tree, Selection: query.Selection{Type: dbtest.Types[0], Range: where}}
		r := read(t, stores, q, func() {})
		want := all * (12 - min(3, int64(where.Start))) / 12 // an hour has twelve windows
		require.Equal(t, want, r.answer().Tree.Total())
		r.close()
	}
}
