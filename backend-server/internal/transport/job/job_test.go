package job

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/scheduler"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

var quiet = slog.New(slog.DiscardHandler)

// installation is schedulers, each a process as far as others can tell.
type installation struct {
	t    testing.TB
	cfg  rpc.Config
	pool *rpc.Pool

	mu   sync.Mutex
	ring map[string]bool // addresses of members that take work
}

func newInstallation(t testing.TB) *installation {
	in := &installation{t: t, ring: map[string]bool{}}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	in.cfg.RegisterFlags(fs)
	require.NoError(t, fs.Parse([]string{"-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port=0"}))
	in.pool = in.newPool()
	return in
}

func (in *installation) newPool() *rpc.Pool {
	p, err := rpc.NewPool(in.cfg, prometheus.NewRegistry(), quiet)
	require.NoError(in.t, err)
	in.t.Cleanup(func() { _ = p.Close() })
	return p
}

func (in *installation) active() []cluster.Peer {
	in.mu.Lock()
	defer in.mu.Unlock()
	var out []cluster.Peer
	for addr, active := range in.ring {
		if active {
			out = append(out, cluster.Peer{Id: addr, Addr: addr})
		}
	}
	return out
}

func (in *installation) set(addr string, active bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ring[addr] = active
}

// addScheduler starts a scheduler; kill ends it.
func (in *installation) addScheduler() (s *scheduler.Scheduler, addr string, kill func()) {
	var cfg scheduler.Config
	cfg.RegisterFlags(flag.NewFlagSet("", flag.PanicOnError))
	cfg.MaxOutstanding = 20
	s = scheduler.New(cfg, scheduler.Deps{Registerer: prometheus.NewRegistry(), Logger: quiet, Now: time.Now})
	require.NoError(in.t, services.StartAndAwaitRunning(context.Background(), s))
	server, err := rpc.NewServer(in.cfg, prometheus.NewRegistry(), quiet)
	require.NoError(in.t, err)
	Register(server, s)
	require.NoError(in.t, server.Listen(context.Background()))
	addr = fmt.Sprintf("127.0.0.1:%d", server.Port())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(ctx) }()
	kill = sync.OnceFunc(func() {
		cancel()
		s.StopAsync()
		<-ended
	})
	in.t.Cleanup(kill)
	in.set(addr, true)
	return s, addr, kill
}

func (in *installation) client() *Client {
	return NewClient(in.active, in.pool, prometheus.NewRegistry(), quiet)
}

// through returns an address at which addr is reached, until cut is called: then
// all connections break, and there are no new ones, as when a process is killed.
func (in *installation) through(addr string) (front string, cut func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(in.t, err)
	var mu sync.Mutex
	conns := []io.Closer{l}
	dead := false
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr)
			mu.Lock()
			if err == nil && !dead {
				conns = append(conns, from, to)
				go func() { _, _ = io.Copy(from, to) }()
				go func() { _, _ = io.Copy(to, from) }()
			} else {
				_ = from.Close()
			}
			mu.Unlock()
		}
	}()
	cut = func() {
		mu.Lock()
		defer mu.Unlock()
		dead = true
		for _, c := range conns {
			_ = c.Close()
		}
	}
	in.t.Cleanup(cut)
	return l.Addr().String(), cut
}

// asker answers with a function.
type asker func(context.Context, *question.Question) (*question.Answer, error)

func (a asker) Ask(ctx context.Context, q *question.Question) (*question.Answer, error) {
	return a(ctx, q)
}

// addQuerier starts the workers of a querier. cut ends its connections.
func (in *installation) addQuerier(name string, workers int, a asker) (w *Workers, cut func()) {
	pool := in.newPool()
	w = NewWorkers(a, WorkersDeps{Querier: name, Workers: workers, Schedulers: in.active, Pool: pool, Registerer: prometheus.NewRegistry(), Logger: quiet})
	require.NoError(in.t, services.StartAndAwaitRunning(context.Background(), w))
	in.t.Cleanup(func() { w.StopAsync(); _ = pool.Close(); _ = w.AwaitTerminated(context.Background()) })
	return w, func() { _ = pool.Close() }
}

func connected(w *Workers, n int) func() bool {
	return func() bool { return testutil.ToFloat64(w.connected) == float64(n) }
}

func anonymous(ctx context.Context) context.Context { return tenant.With(ctx, "some-tenant") }

var names = &question.Question{Kind: question.LabelNames}

func TestQuestionsGoToQueriersAndBack(t *testing.T) {
	in := newInstallation(t)
	in.addScheduler()
	in.addScheduler()
	for i := range 2 {
		w, _ := in.addQuerier(fmt.Sprint("q", i), 3, func(ctx context.Context, q *question.Question) (*question.Answer, error) {
			id, err := tenant.From(ctx)
			deadline, _ := ctx.Deadline()
			return &question.Answer{Texts: []string{id, q.Kind.String(), fmt.Sprint(time.Until(deadline).Round(time.Minute))}}, err
		})
		require.Eventually(t, connected(w, 4), 5*time.Second, time.Millisecond)
	}
	c := in.client()
	ctx, cancel := context.WithTimeout(anonymous(t.Context()), time.Hour)
	defer cancel()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			got, err := c.Ask(ctx, names)
			if fault.Is(err, fault.Exhausted) {
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{"some-tenant", "label names", "1h0m0s"}, got.Texts)
		})
	}
	all.Wait()
	_, err := c.Ask(t.Context(), names)
	require.True(t, fault.Is(err, fault.Unauthenticated), "%v", err)
}

// TestTraceGoesWithTheQuestion: from the context in which a question is queued
// to the one in which it is answered.
func TestTraceGoesWithTheQuestion(t *testing.T) {
	in := newInstallation(t)
	s, _, _ := in.addScheduler()
	got := make(chan trace.SpanContext, 1)
	in.addQuerier("q", 1, func(ctx context.Context, _ *question.Question) (*question.Answer, error) {
		got <- trace.SpanContextFromContext(ctx)
		return &question.Answer{}, nil
	})
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4}, TraceFlags: trace.FlagsSampled})
	_, err := s.Do(trace.ContextWithSpanContext(t.Context(), span), "a", &sealed{[]byte{8, uint8(question.LabelNames)}})
	require.NoError(t, err)
	require.Equal(t, span.TraceID(), (<-got).TraceID())
}

func TestErrorsArriveAsTheyWere(t *testing.T) {
	in := newInstallation(t)
	in.addScheduler()
	var say atomic.Pointer[error]
	in.addQuerier("q", 1, func(context.Context, *question.Question) (*question.Answer, error) {
		if say.Load() == nil {
			panic("oh")
		}
		return nil, *say.Load()
	})
	c := in.client()
	_, err := c.Ask(anonymous(t.Context()), names)
	require.ErrorContains(t, err, "internal error: the question made the server panic")
	for _, want := range []error{
		fault.Reason(fault.TooLarge, "query_memory", "the query needs too much"), fault.New(fault.Unavailable, "no ingester"),
		fault.New(fault.Invalid, "x"), &upload.RetryError{Err: fault.New(fault.Exhausted, "slowly"), After: 3 * time.Second}, errors.New("bug"),
	} {
		say.Store(&want)
		_, err := c.Ask(anonymous(t.Context()), names)
		require.Equal(t, fault.KindOf(want), fault.KindOf(err), "%v", err)
		require.Equal(t, fault.ReasonOf(want), fault.ReasonOf(err))
		require.ErrorContains(t, err, want.Error())
		var hint *upload.RetryError
		require.Equal(t, errors.As(want, &hint), errors.As(err, &hint))
	}
	require.Zero(t, testutil.ToFloat64(c.again), "it was the querier that failed, not the scheduler")
	cancelled := context.Canceled // of a call to somebody else
	say.Store(&cancelled)
	_, err = c.Ask(anonymous(t.Context()), names)
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
}

func TestTooManyAreRefused(t *testing.T) {
	in := newInstallation(t)
	s, _, _ := in.addScheduler()
	c := in.client()
	ctx, cancel := context.WithCancel(anonymous(t.Context()))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = c.Ask(ctx, names) })
	}
	var err error
	require.Eventually(t, func() bool {
		short, end := context.WithTimeout(anonymous(t.Context()), 50*time.Millisecond)
		defer end()
		_, err = c.Ask(short, names)
		return fault.Is(err, fault.Exhausted)
	}, 10*time.Second, time.Millisecond)
	var hint *upload.RetryError
	require.ErrorAs(t, err, &hint)
	cancel() // leaves the queue of another process
	all.Wait()
	require.Eventually(t, func() bool {
		short, end := context.WithTimeout(anonymous(t.Context()), 50*time.Millisecond)
		defer end()
		_, err = s.Do(short, "some-tenant", &sealed{})
		return errors.Is(err, context.DeadlineExceeded)
	}, 10*time.Second, time.Millisecond)
}

// TestCancellationReachesTheQuerier: and the worker is free for the next one.
func TestCancellationReachesTheQuerier(t *testing.T) {
	in := newInstallation(t)
	in.addScheduler()
	begun, ended := make(chan struct{}), make(chan error, 1)
	in.addQuerier("q", 1, func(ctx context.Context, q *question.Question) (*question.Answer, error) {
		if q.Kind == question.Stats {
			return &question.Answer{}, nil
		}
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(anonymous(t.Context()))
	go func() { <-begun; cancel() }()
	c := in.client()
	_, err := c.Ask(ctx, names)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, <-ended, context.Canceled)
	_, err = c.Ask(anonymous(t.Context()), &question.Question{Kind: question.Stats})
	require.NoError(t, err)
}

func TestDeadlineReachesTheQuerier(t *testing.T) {
	in := newInstallation(t)
	in.addScheduler()
	ended := make(chan error, 1)
	w, _ := in.addQuerier("q", 1, func(ctx context.Context, _ *question.Question) (*question.Answer, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	// A question whose time is up before it is given away reaches no querier.
	require.Eventually(t, connected(w, 1), 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(anonymous(t.Context()), time.Second)
	defer cancel()
	_, err := in.client().Ask(ctx, names)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Error(t, <-ended)
}

// TestQuerierGoesAway: what it worked on is given to another.
func TestQuerierGoesAway(t *testing.T) {
	in := newInstallation(t)
	in.addScheduler()
	begun := make(chan struct{}, 1)
	_, cut := in.addQuerier("first", 1, func(ctx context.Context, _ *question.Question) (*question.Answer, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	answered := make(chan error, 1)
	go func() {
		_, err := in.client().Ask(anonymous(t.Context()), names)
		answered <- err
	}()
	<-begun
	in.addQuerier("second", 1, func(context.Context, *question.Question) (*question.Answer, error) {
		return &question.Answer{Texts: []string{"second"}}, nil
	})
	cut()
	require.NoError(t, <-answered)
}

// TestQuerierStops: what it has begun is finished.
func TestQuerierStops(t *testing.T) {
	in := newInstallation(t)
	in.addScheduler()
	begun, finish := make(chan struct{}), make(chan struct{})
	w, _ := in.addQuerier("q", 2, func(ctx context.Context, _ *question.Question) (*question.Answer, error) {
		close(begun)
		<-finish
		return &question.Answer{Texts: []string{"done"}}, ctx.Err()
	})
	answered := make(chan error, 1)
	go func() {
		_, err := in.client().Ask(anonymous(t.Context()), names)
		answered <- err
	}()
	<-begun
	w.StopAsync()
	require.Eventually(t, connected(w, 1), 5*time.Second, time.Millisecond, "the idle worker has left")
	close(finish)
	require.NoError(t, <-answered)
	begin := time.Now()
	require.NoError(t, w.AwaitTerminated(t.Context()))
	require.Less(t, time.Since(begin), farewell)
}

// TestSchedulerDies: with two schedulers, no question fails when one dies, and
// workers come to the one that takes its place.
func TestSchedulerDies(t *testing.T) {
	for _, killed := range []bool{true, false} {
		t.Run(fmt.Sprintf("killed %t", killed), func(t *testing.T) { testSchedulerDies(t, killed) })
	}
}

func testSchedulerDies(t *testing.T, killed bool) {
	in := newInstallation(t)
	_, addr, kill := in.addScheduler()
	if killed {
		in.set(addr, false)
		addr, kill = in.through(addr)
		in.set(addr, true)
	}
	in.addScheduler()
	var count atomic.Int64
	w, _ := in.addQuerier("q", 4, func(ctx context.Context, _ *question.Question) (*question.Answer, error) {
		count.Add(1)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
		return &question.Answer{Texts: []string{"done"}}, ctx.Err()
	})
	require.Eventually(t, connected(w, 4), 5*time.Second, time.Millisecond)
	c := in.client()
	ctx, stop := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	var failed atomic.Int64
	for range 4 {
		askers.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Ask(anonymous(t.Context()), names); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	kill() // still on the ring
	before := count.Load()
	require.Eventually(t, func() bool { return count.Load() > before+20 }, 10*time.Second, time.Millisecond)
	in.set(addr, false)
	in.addScheduler()
	require.Eventually(t, connected(w, 4), 10*time.Second, time.Millisecond)
	stop()
	askers.Wait()
	require.Zero(t, failed.Load())
	require.Positive(t, testutil.ToFloat64(c.again))

	none := newInstallation(t)
	_, err := none.client().Ask(anonymous(t.Context()), names)
	require.True(t, fault.Is(err, fault.Unavailable))
	require.ErrorContains(t, err, "no query-scheduler")
}

func TestWorkersAreSpread(t *testing.T) {
	in := newInstallation(t)
	w, _ := in.addQuerier("q", 4, nil)
	_, first, _ := in.addScheduler()
	require.Eventually(t, connected(w, 4), 10*time.Second, time.Millisecond)
	in.addScheduler()
	time.Sleep(2 * lookInterval)
	require.Eventually(t, connected(w, 4), 10*time.Second, time.Millisecond)
	in.addScheduler()
	in.addScheduler()
	require.Eventually(t, connected(w, 8), 10*time.Second, time.Millisecond, "at least two each (J3)")
	in.set(first, false)
	time.Sleep(2 * lookInterval)
	require.Eventually(t, connected(w, 8), 10*time.Second, time.Millisecond, "one that leaves keeps its worker (J3)")
}

// TestMixedProcesses: a scheduler that has a frontend and workers in its own
// process passes on questions of other processes too, and has other queriers
// answer its own.
func TestMixedProcesses(t *testing.T) {
	in := newInstallation(t)
	s, _, _ := in.addScheduler()
	says := func(who string) asker {
		return func(ctx context.Context, q *question.Question) (*question.Answer, error) {
			if q.Kind == question.Stats {
				return nil, fault.Reason(fault.TooLarge, "why", "no")
			}
			id, err := tenant.From(ctx)
			return &question.Answer{Texts: []string{id, who}}, err
		}
	}
	ask := func(who string) {
		for _, a := range []question.Asker{in.client(), s} {
			got, err := a.Ask(anonymous(t.Context()), names)
			require.NoError(t, err)
			require.Equal(t, []string{"some-tenant", who}, got.Texts)
			_, err = a.Ask(anonymous(t.Context()), &question.Question{Kind: question.Stats})
			require.True(t, fault.Is(err, fault.TooLarge), "%v", err)
			require.Equal(t, "why", fault.ReasonOf(err))
		}
	}
	local := s.Workers(1, says("local"))
	require.NoError(t, services.StartAndAwaitRunning(t.Context(), local))
	ask("local")
	require.NoError(t, services.StopAndAwaitTerminated(t.Context(), local))
	in.addQuerier("q", 1, says("remote"))
	ask("remote")
}

// TestOtherVersions: what is not understood is refused by name.
func TestOtherVersions(t *testing.T) {
	in := newInstallation(t)
	s, addr, _ := in.addScheduler()
	in.addQuerier("q", 1, func(context.Context, *question.Question) (*question.Answer, error) { return nil, nil })
	_, err := s.Do(t.Context(), "a", 77)
	require.ErrorContains(t, err, "int and cannot be sent")
	answer, err := s.Do(t.Context(), "a", &sealed{[]byte{8, 200, 1}})
	require.NoError(t, err)
	err = failure(answer.(*hearthv1.AskResponse))
	require.True(t, fault.Is(err, fault.Unimplemented))
	require.ErrorContains(t, err, "questions of kind 200")
	answer, err = s.Do(t.Context(), "a/b", &sealed{[]byte{8, 4}})
	require.NoError(t, err)
	require.True(t, fault.Is(failure(answer.(*hearthv1.AskResponse)), fault.Invalid))

	conn, err := in.pool.Conn(addr)
	require.NoError(t, err)
	stream, err := hearthv1.NewQueueServiceClient(conn).Work(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&hearthv1.WorkRequest{}))
	_, err = stream.Recv()
	require.ErrorContains(t, err, "must first say whose it is")
	require.True(t, fault.Is(failure(&hearthv1.AskResponse{Failure: []byte{1}}), fault.Corrupt))
}

func TestConfig(t *testing.T) {
	var c Config
	c.RegisterFlags(flag.NewFlagSet("", flag.PanicOnError))
	require.Empty(t, c.Validate())
	require.Greater(t, c.Workers(true), 24/6+1, "a day in parts of six hours, and another query")
	require.Equal(t, runtime.GOMAXPROCS(0), c.Workers(false), "a folder is not waited for")
	c.MaxConcurrent = 7
	require.Equal(t, 7, c.Workers(true))
	require.Equal(t, 7, c.Workers(false))
	c.MaxConcurrent = -1
	require.Len(t, c.Validate(), 1)
}
