package scheduler

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

func newScheduler(change func(*Config), oneTenant bool) *Scheduler {
	var cfg Config
	cfg.RegisterFlags(flag.NewFlagSet("", flag.PanicOnError))
	if change != nil {
		change(&cfg)
	}
	return New(cfg, Deps{OneTenant: oneTenant, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Now: time.Now})
}

func anyNumber(c *Config) { c.MaxOutstanding = 1 << 20 }

// startWorkers connects n workers of a querier that need a certain time for
// each query and answer with what was asked.
func startWorkers(ctx context.Context, s *Scheduler, querier string, n int, takes time.Duration) {
	for range n {
		w := s.Connect(querier)
		go func() {
			defer w.Close()
			for {
				task, err := w.Next(ctx)
				if err != nil {
					return
				}
				time.Sleep(takes)
				task.Finish(task.Payload, nil)
			}
		}()
	}
}

// remembered returns the tenants of which something is kept.
func remembered(s *Scheduler) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Collect(maps.Keys(s.mu.tenants)), slices.Collect(maps.Keys(s.mu.served))...)
}

// ask queues a query and tells when the answer is there.
func ask(ctx context.Context, s *Scheduler, tenant string, payload any) <-chan error {
	out := make(chan error, 1)
	go func() {
		_, err := s.Do(ctx, tenant, payload)
		out <- err
	}()
	return out
}

// latencies sends 50 queries of a tenant, one after the other, and returns the
// median of the times they took.
func latencies(ctx context.Context, t *testing.T, s *Scheduler, tenant string) time.Duration {
	var all []time.Duration
	for i := range 50 {
		time.Sleep(time.Duration(i*7%13) * time.Millisecond)
		begin := time.Now()
		_, err := s.Do(ctx, tenant, i)
		require.NoError(t, err)
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// TestFairness: a thousand queries of one tenant, all at once, and those of
// another, one after the other. The clock is not the real one.
func TestFairness(t *testing.T) {
	const takes = 100 * time.Millisecond
	for _, workers := range []int{1, 2, 4, 32} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScheduler(anyNumber, false)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				startWorkers(ctx, s, "querier", workers, takes)
				alone := latencies(ctx, t, s, "small")
				require.Equal(t, takes, alone)
				var large []<-chan error
				for i := range 1000 {
					large = append(large, ask(ctx, s, "large", i))
				}
				synctest.Wait()
				beside := latencies(ctx, t, s, "small")
				t.Logf("median %s alone, %s beside 1000 queries of another tenant", alone, beside)
				require.LessOrEqual(t, beside, 2*alone)
				if workers > 1 {
					require.Equal(t, alone, beside, "a worker is kept free (Q2)")
				}
				begin := time.Now()
				for _, answered := range large {
					require.NoError(t, <-answered)
				}
				require.LessOrEqual(t, time.Since(begin), 1000*takes/time.Duration(max(1, workers-1))+takes)
			})
		})
	}
}

// TestTurns: tenants with any number of queries are served the same number.
func TestTurns(t *testing.T) {
	s := newScheduler(anyNumber, false)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	tenants := map[string]int{"a": 1000, "b": 10, "c": 3}
	total := 0
	for id, n := range tenants {
		for range n {
			ask(ctx, s, id, nil)
		}
		total += n
	}
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.waiting) == float64(total) }, 10*time.Second, time.Millisecond)
	w := s.Connect("q")
	served := map[string]int{}
	for range 9 {
		task, err := w.Next(ctx)
		require.NoError(t, err)
		served[task.Tenant]++
		task.Finish(nil, nil)
	}
	require.Equal(t, map[string]int{"a": 3, "b": 3, "c": 3}, served)
	for range 14 {
		task, err := w.Next(ctx)
		require.NoError(t, err)
		served[task.Tenant]++
		task.Finish(nil, nil)
	}
	require.Equal(t, map[string]int{"a": 10, "b": 10, "c": 3}, served)
}

func TestOneTenantHasAllWorkers(t *testing.T) {
	for _, oneTenant := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newScheduler(nil, oneTenant)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			startWorkers(ctx, s, "q", 3, time.Second)
			for range 6 {
				ask(ctx, s, "a", nil)
			}
			synctest.Wait()
			want := 2.0
			if oneTenant {
				want = 3
			}
			require.Equal(t, want, testutil.ToFloat64(s.metrics.running))
			time.Sleep(10 * time.Second)
			require.Zero(t, testutil.ToFloat64(s.metrics.running))
			require.Empty(t, remembered(s), "nothing is remembered")
		})
	}
}

// TestTheOnlyQueryOfATenant: while a querier works on it, those of a tenant that
// has many wait, but not for long, and not for other queriers.
func TestTheOnlyQueryOfATenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(nil, false)
		next := func(w question.Worker) <-chan *question.Task {
			out := make(chan *question.Task, 1)
			go func() {
				task, err := w.Next(t.Context())
				if err == nil {
					out <- task
				}
			}()
			synctest.Wait()
			return out
		}
		a, b, c, other := s.Connect("one"), s.Connect("one"), s.Connect("one"), s.Connect("two")
		small := func() *question.Task {
			ask(t.Context(), s, "small", nil)
			synctest.Wait()
			return <-next(a)
		}
		only := small()
		for range 8 {
			ask(t.Context(), s, "large", nil)
		}
		synctest.Wait()
		held, elsewhere := next(b), next(other)
		require.Len(t, elsewhere, 1)
		require.Empty(t, held)
		only.Finish(nil, nil)
		synctest.Wait()
		require.Len(t, held, 1, "the query is done")
		(<-held).Finish(nil, nil)

		only = small()
		held = next(b)
		time.Sleep(yield - 1)
		require.Empty(t, held)
		time.Sleep(1)
		synctest.Wait()
		require.Len(t, held, 1, "it takes long")
		only.Finish(nil, nil)
		(<-held).Finish(nil, nil)
		(<-elsewhere).Finish(nil, nil)

		only = small()
		ask(t.Context(), s, "another", nil)
		synctest.Wait()
		task := <-next(c)
		require.Equal(t, "another", task.Tenant, "it has only one itself")
	})
}

func TestTooManyOutstanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(func(c *Config) { c.MaxOutstanding = 2 }, false)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		busy := s.Connect("busy")
		defer busy.Close()
		ask(ctx, s, "a", nil)
		ask(ctx, s, "a", nil)
		time.Sleep(7 * time.Second)
		_, err := s.Do(ctx, "a", nil)
		require.True(t, fault.Is(err, fault.Exhausted))
		require.ErrorContains(t, err, "tenant a has 2 queries waiting; limit 2 (-query-scheduler.max-outstanding-requests-per-tenant)")
		var hint *upload.RetryError
		require.ErrorAs(t, err, &hint)
		require.Equal(t, 7*time.Second, hint.After)
		other := ask(ctx, s, "b", nil)
		synctest.Wait()
		require.Empty(t, other, "it waits")
		require.Equal(t, 3.0, testutil.ToFloat64(s.metrics.waiting))
		stop()
		synctest.Wait()
		require.Empty(t, remembered(s))
	})
}

func TestCancelledQueriesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(nil, false)
		ctx, cancel := context.WithCancel(t.Context())
		short, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		cancelled, late, stays := ask(ctx, s, "a", 1), ask(short, s, "a", 2), ask(t.Context(), s, "b", 3)
		synctest.Wait()
		require.Equal(t, 3.0, testutil.ToFloat64(s.metrics.waiting))
		cancel()
		require.ErrorIs(t, <-cancelled, context.Canceled)
		require.Equal(t, 2.0, testutil.ToFloat64(s.metrics.waiting))
		require.ErrorIs(t, <-late, context.DeadlineExceeded)
		require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.waiting))
		require.Equal(t, 2.0, testutil.ToFloat64(s.metrics.discarded.WithLabelValues(reasonGone)))

		w := s.Connect("q")
		task, err := w.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, task.Payload)
		task.Finish(nil, errors.New("x"))
		require.EqualError(t, <-stays, "x")
		_, err = s.Do(ctx, "a", nil)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, remembered(s))
	})
}

// TestAskerGoesWhileItIsAnswered: the worker hears of it, and is still counted
// until it has stopped.
func TestAskerGoesWhileItIsAnswered(t *testing.T) {
	s := newScheduler(nil, false)
	ctx, cancel := context.WithCancel(t.Context())
	answered := ask(ctx, s, "a", nil)
	w := s.Connect("q")
	task, err := w.Next(t.Context())
	require.NoError(t, err)
	cancel()
	<-task.Context.Done()
	require.ErrorIs(t, <-answered, context.Canceled)
	require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.running))
	task.Finish("too late", nil)
	require.Zero(t, testutil.ToFloat64(s.metrics.running))
	w.Close()
	require.Empty(t, remembered(s))
}

func TestQuerierGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(nil, false)
		first := ask(t.Context(), s, "a", "first")
		synctest.Wait()
		ask(t.Context(), s, "a", "second")
		synctest.Wait()
		var tasks []*question.Task
		for range mostTries {
			w := s.Connect("q")
			task, err := w.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, "first", task.Payload, "it is the next of its tenant (Q5)")
			w.Close()
			w.Close()
			tasks = append(tasks, task)
		}
		err := <-first
		require.True(t, fault.Is(err, fault.Unavailable))
		require.ErrorContains(t, err, "3 in all")
		for _, task := range tasks {
			task.Finish("too late", nil)
		}
		require.Equal(t, 2.0, testutil.ToFloat64(s.metrics.requeued))
		w := s.Connect("q")
		task, err := w.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, "second", task.Payload)
		_, err = w.Next(t.Context())
		require.ErrorContains(t, err, "not finished")
		task.Finish(nil, nil)
		w.Close()
		_, err = w.Next(t.Context())
		require.ErrorContains(t, err, "closed")
		require.Zero(t, testutil.ToFloat64(s.metrics.workers))
		require.Empty(t, remembered(s))
	})
}

func TestWorkerThatStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(nil, false)
		w := s.Connect("q")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		answered := ask(t.Context(), s, "a", nil)
		synctest.Wait()
		require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.waiting), "it is not given to one that does not wait")
		task, err := w.Next(t.Context())
		require.NoError(t, err)
		task.Finish(nil, nil)
		require.NoError(t, <-answered)
	})
}

func TestQueriersOfATenant(t *testing.T) {
	s := newScheduler(func(c *Config) { c.MaxQueriers = 2 }, false)
	for i := range 10 {
		s.Connect(fmt.Sprint("querier-", i))
		s.Connect(fmt.Sprint("querier-", i))
	}
	used, before := map[string]int{}, map[string][]string{}
	for i := range 500 {
		id := fmt.Sprint("tenant-", i)
		sh := s.shard(id)
		require.Len(t, sh.queriers, 2)
		require.Equal(t, 4, sh.workers)
		for _, q := range sh.queriers {
			used[q]++
			require.True(t, sh.has(q))
		}
		before[id] = sh.queriers
	}
	for q, n := range used {
		require.InDelta(t, 100, n, 40, q)
	}
	w := s.Connect("querier-10")
	changed := 0
	for id, old := range before {
		for _, q := range s.shard(id).queriers {
			if !slices.Contains(old, q) {
				require.Equal(t, "querier-10", q, "nobody is given another one of the old")
				changed++
			}
		}
	}
	require.InDelta(t, 2*500/11, changed, 40)
	w.Close()
	for id, old := range before {
		require.Equal(t, old, s.shard(id).queriers)
	}

	// A tenant's query waits for one of its own queriers.
	sh := s.shard("tenant-1")
	ask(t.Context(), s, "tenant-1", nil)
	for i := range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		name := fmt.Sprint("querier-", i)
		task, err := s.Connect(name).Next(ctx)
		cancel()
		if err == nil {
			require.Contains(t, sh.queriers, name)
			task.Finish(nil, nil)
			return
		}
	}
	t.Fatal("no querier was given the query")
}

func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(nil, false)
		require.NoError(t, services.StartAndAwaitRunning(t.Context(), s))
		startWorkers(context.Background(), s, "q", 2, time.Second)
		var all []<-chan error
		for range 5 {
			all = append(all, ask(t.Context(), s, "a", nil))
		}
		synctest.Wait()
		s.StopAsync()
		synctest.Wait()
		_, err := s.Do(t.Context(), "a", nil)
		require.True(t, fault.Is(err, fault.Unavailable))
		for _, answered := range all {
			require.NoError(t, <-answered)
		}
		require.NoError(t, s.AwaitTerminated(t.Context()))
		synctest.Wait()
		require.Zero(t, testutil.ToFloat64(s.metrics.workers), "workers were let go")
	})
	synctest.Test(t, func(t *testing.T) { // nobody comes
		s := newScheduler(nil, false)
		require.NoError(t, services.StartAndAwaitRunning(t.Context(), s))
		busy := s.Connect("busy")
		defer busy.Close()
		answered := ask(t.Context(), s, "a", nil)
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, services.StopAndAwaitTerminated(t.Context(), s))
		require.Equal(t, drainPatience, time.Since(begin))
		require.True(t, fault.Is(<-answered, fault.Unavailable))
	})
}

// TestEveryQueryIsAnsweredOnce: with workers that come and go and askers that
// lose patience, all waits end, and nothing is left.
func TestEveryQueryIsAnsweredOnce(t *testing.T) {
	s := newScheduler(anyNumber, false)
	ctx, stop := context.WithCancel(t.Context())
	var workers, askers sync.WaitGroup
	for i := range 6 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				w := s.Connect(fmt.Sprint("q", i%3))
				for ctx.Err() == nil && r.IntN(20) > 0 {
					task, err := w.Next(ctx)
					if err != nil {
						break
					}
					if r.IntN(10) == 0 {
						break // gone with it
					}
					task.Finish(task.Payload, nil)
				}
				w.Close()
			}
		})
	}
	var answered, failed atomic.Int64
	for i := range 20 {
		askers.Go(func() {
			for j := range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+j%7*10)*time.Millisecond)
				got, err := s.Do(ctx, fmt.Sprint("t", i%5), i*1000+j)
				cancel()
				if err == nil && got == i*1000+j {
					answered.Add(1)
				} else if err != nil {
					failed.Add(1)
				}
			}
		})
	}
	askers.Wait()
	stop()
	workers.Wait()
	require.EqualValues(t, 20*200, answered.Load()+failed.Load())
	require.Greater(t, answered.Load(), int64(2000))
	require.Empty(t, remembered(s))
	require.Empty(t, s.mu.slots)
	require.Empty(t, s.mu.busy)
	require.Zero(t, s.mu.turn.Len()+s.mu.free.Len()+s.mu.open)
	require.Zero(t, testutil.ToFloat64(s.metrics.waiting)+testutil.ToFloat64(s.metrics.running)+testutil.ToFloat64(s.metrics.workers))
}

// asker answers with what it was asked.
type asker func(context.Context, *question.Question) (*question.Answer, error)

func (a asker) Ask(ctx context.Context, q *question.Question) (*question.Answer, error) {
	return a(ctx, q)
}

func TestWithinOneProcess(t *testing.T) {
	s := newScheduler(nil, true)
	workers := s.Workers(2, asker(func(ctx context.Context, q *question.Question) (*question.Answer, error) {
		id, err := tenant.From(ctx)
		if q.Kind == question.Stats {
			panic("stats")
		}
		return &question.Answer{Texts: []string{id}}, err
	}))
	require.NoError(t, services.StartAndAwaitRunning(t.Context(), workers))
	got, err := s.Ask(tenant.With(t.Context(), "a"), &question.Question{Kind: question.LabelNames})
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, got.Texts)
	_, err = s.Ask(tenant.With(t.Context(), "a"), &question.Question{Kind: question.Stats})
	require.ErrorContains(t, err, "panic")
	_, err = s.Ask(t.Context(), &question.Question{})
	require.True(t, fault.Is(err, fault.Unauthenticated))
	require.NoError(t, services.StopAndAwaitTerminated(t.Context(), workers))
	require.Empty(t, s.mu.slots)
}

func TestConfig(t *testing.T) {
	bad := Config{MaxQueriers: -1}
	require.Len(t, bad.Validate(), 2)
	var good Config
	good.RegisterFlags(flag.NewFlagSet("", flag.PanicOnError))
	require.Empty(t, good.Validate())
}

// TestNobodyToAnswer: a scheduler without queriers does not keep queries until
// their time is up, for another one may have some (Q7).
func TestNobodyToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(nil, false)
		time.Sleep(time.Hour)
		begin := time.Now()
		_, err := s.Do(t.Context(), "a", 1)
		require.Equal(t, fault.Unavailable, fault.KindOf(err))
		require.ErrorContains(t, err, "no querier is connected to this query-scheduler; the last one was 1h0m5s ago")
		require.Equal(t, querierPatience, time.Since(begin))
		require.Empty(t, remembered(s))
		require.Equal(t, 1.0, testutil.ToFloat64(s.metrics.discarded.WithLabelValues(reasonNoQueriers)))

		// One that comes in time is waited for, and one that is busy too.
		ctx, stop := context.WithCancel(t.Context())
		late := ask(t.Context(), s, "a", 2)
		time.Sleep(querierPatience - time.Second)
		startWorkers(ctx, s, "querier", 1, time.Minute)
		behind := ask(t.Context(), s, "a", 3)
		require.NoError(t, <-late)
		require.NoError(t, <-behind)

		// When it goes the time begins anew.
		stop()
		synctest.Wait()
		begin = time.Now()
		_, err = s.Do(t.Context(), "a", 4)
		require.ErrorContains(t, err, "no querier is connected")
		require.Equal(t, querierPatience, time.Since(begin))
	})
}
