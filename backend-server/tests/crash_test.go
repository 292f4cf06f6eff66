package tests

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/require"
)

const (
	crashRounds  = 24
	crashPushers = 4
)

// upload is one push request of some profiles of one series; every profile has
// a time and a value of its own.
type upload struct {
	pusher string
	values map[int64]int64 // by time in milliseconds
	series *pushv1.RawProfileSeries
	acked  bool
}

// crash is the state of the test: what has been sent, over all rounds.
type crash struct {
	luck    *luck
	begin   time.Time
	clock   int64 // milliseconds after begin that have been used
	uploads []*upload
}

// TestKillWhilePushing kills the server at random moments while profiles are
// pushed and flushed. After each start every acknowledged profile must be there
// and none twice; then the others are sent again, and some that were stored.
func TestKillWhilePushing(t *testing.T) {
	rounds := crashRounds
	if testing.Short() {
		rounds = 5
	}
	c, data := &crash{luck: newLuck(t), begin: time.Now().Add(-30 * time.Minute).Truncate(time.Millisecond)}, t.TempDir()
	acked, unacked := 0, 0
	for round := range rounds {
		s := startReady(t, data)
		c.verify(t, s, fmt.Sprintf("after the start of round %d", round))
		c.retry(t, s)
		sent := c.pushUntilKilled(t, s, time.Duration(c.luck.below(250))*time.Millisecond)
		for _, u := range sent {
			if u.acked {
				acked++
			} else {
				unacked++
			}
		}
		c.uploads = append(c.uploads, sent...)
		if c.luck.below(4) == 0 { // and once more, in the middle of the replay
			s := start(t, data)
			time.Sleep(time.Duration(c.luck.below(10)) * time.Millisecond)
			s.kill()
		}
	}
	s := startReady(t, data)
	c.verify(t, s, "at the end")
	c.retry(t, s)
	s.flush(t)
	c.verify(t, s, "after the last flush")
	t.Logf("%d pushes acknowledged, %d cut off", acked, unacked)
	require.Positive(t, acked)
}

// pushUntilKilled pushes from several clients, flushes now and then, and kills
// the server after the given time.
func (c *crash) pushUntilKilled(t *testing.T, s *server, after time.Duration) (sent []*upload) {
	var killed atomic.Bool
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := func(pusher int) *upload {
		mu.Lock()
		defer mu.Unlock()
		u := c.upload(t, fmt.Sprint(pusher), 1+c.luck.below(4))
		sent = append(sent, u)
		return u
	}
	for n := range crashPushers {
		wg.Go(func() {
			for !killed.Load() {
				u := next(n)
				err := push(t.Context(), s.pusher(), u.series)
				mu.Lock()
				u.acked = err == nil
				mu.Unlock()
				if err != nil && !killed.Load() {
					t.Errorf("push failed before the kill: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for !killed.Load() {
			time.Sleep(time.Duration(c.luck.below(60)) * time.Millisecond)
			if code, _ := s.post("/ingester/flush", "", nil); code != http.StatusNoContent {
				return
			}
		}
	})
	time.Sleep(after)
	killed.Store(true)
	s.kill()
	wg.Wait()
	return sent
}

// upload makes an upload of n new profiles.
func (c *crash) upload(t *testing.T, pusher string, n int) *upload {
	u := &upload{pusher: pusher, values: map[int64]int64{}}
	var raws [][]byte
	for range n {
		c.clock++
		at := c.begin.Add(time.Duration(c.clock) * time.Millisecond)
		u.values[at.UnixMilli()] = 1000 + c.clock
		raws = append(raws, encode(t, at, 1000+c.clock))
	}
	u.series = rawSeries(map[string]string{"service_name": "crash", "pusher": pusher}, raws...)
	return u
}

// retry sends again what was not acknowledged, and some of what was.
func (c *crash) retry(t *testing.T, s *server) {
	t.Helper()
	for _, u := range c.uploads {
		if u.acked && c.luck.below(20) > 0 {
			continue
		}
		require.NoError(t, push(t.Context(), s.pusher(), u.series))
		u.acked = true
	}
	c.verify(t, s, "after sending again")
}

// verify compares everything that was sent with what the server has.
func (c *crash) verify(t *testing.T, s *server, when string) {
	t.Helper()
	if len(c.uploads) == 0 {
		return
	}
	got := points(t, s, `{service_name="crash"}`, "pusher", c.begin, c.begin.Add(time.Duration(c.clock+1)*time.Millisecond))
	found, sum := 0, int64(0)
	for _, u := range c.uploads {
		for at, want := range u.values {
			value, there := got[u.pusher][at]
			if u.acked {
				require.True(t, there, "%s: an acknowledged profile is lost", when)
			}
			if there {
				require.Equal(t, want, value, "%s: a profile counts otherwise than once", when)
				found++
				sum += value
			}
		}
	}
	stored := 0
	for _, m := range got {
		stored += len(m)
	}
	require.Equal(t, found, stored, "%s: there are profiles that nobody sent", when)
	res, err := s.querier().SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: `{service_name="crash"}`, Start: c.begin.UnixMilli(), End: time.Now().UnixMilli(),
	}))
	require.NoError(t, err)
	require.Equal(t, sum, res.Msg.GetFlamegraph().GetTotal(), when)
}
