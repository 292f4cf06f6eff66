package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// ingester is a func as an Ingester.
type ingester func(ctx context.Context, tenantID string, recs []profile.Record) []error

func (f ingester) Push(ctx context.Context, tenantID string, recs []profile.Record) []error {
	return f(ctx, tenantID, recs)
}

func accept(context.Context, string, []profile.Record) []error { return nil }

// serve runs a Server on a port of loopback, a new one or the one given, until
// stop is called or the test ends.
func serve(t testing.TB, port int, ing ingester) (addr string, stop func()) {
	t.Helper()
	s, err := rpc.NewServer(rpc.Config{Address: "127.0.0.1", Port: port}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	NewServer(ing, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)).Register(s)
	require.NoError(t, s.Listen(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return fmt.Sprintf("127.0.0.1:%d", s.Port()), stop
}

// pool returns connections as processes have them.
func pool(t testing.TB) *rpc.Pool {
	t.Helper()
	p, err := rpc.NewPool(rpc.Config{}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func newClient(t testing.TB) *Client {
	t.Helper()
	c := NewClient(pool(t), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.Zero(t, testutil.ToFloat64(c.metrics.waiting))
	})
	return c
}

// records returns n records of a real profile.
func records(t testing.TB, n int) []profile.Record {
	t.Helper()
	raw, err := os.ReadFile("../../profile/pprof/testdata/go-cpu.pb.gz")
	require.NoError(t, err)
	p, err := new(pprof.Decoder).Decode(raw, pprof.Options{})
	require.NoError(t, err)
	out := make([]profile.Record, n)
	for i := range out {
		out[i] = profile.Record{ID: uint64(i), Labels: labels.FromStrings("i", fmt.Sprint(i)), Time: 7, Profile: p, SampleEnd: len(p.Samples)}
	}
	return out
}

func batch(t testing.TB, n int) *flat.Batch {
	t.Helper()
	var b flat.Batch
	b.Encode(records(t, n))
	return &b
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestRecordsArrive(t *testing.T) {
	want := records(t, 4)
	var got []string
	addr, _ := serve(t, 0, func(ctx context.Context, tenantID string, recs []profile.Record) []error {
		id, err := tenant.From(ctx)
		deadline, ok := ctx.Deadline()
		got = append(got, fmt.Sprint(id, tenantID, err, ok && time.Until(deadline) > 50*time.Second))
		for _, r := range recs {
			got = append(got, fmt.Sprint(r.ID, r.Labels, r.Time, r.SampleEnd-r.SampleStart, len(r.Profile.Frames)))
		}
		return nil
	})
	c := newClient(t)
	require.Nil(t, c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", batch(t, 4), []int{1, 3}))
	n, frames := len(want[0].Profile.Samples), 0
	for _, s := range want[0].Profile.Samples {
		frames += int(s.FrameEnd - s.FrameStart)
	}
	require.Equal(t, []string{
		"tt<nil> true", fmt.Sprint(1, want[1].Labels, 7, n, 2*frames), fmt.Sprint(3, want[3].Labels, 7, n, 2*frames),
	}, got)
}

// TestErrorsOfRecords: each record has its own error, which arrives with its
// kind, reason and hint.
func TestErrorsOfRecords(t *testing.T) {
	full := &upload.RetryError{Err: fault.Reason(fault.Exhausted, "head_full", "no room"), After: 3 * time.Second}
	addr, _ := serve(t, 0, func(_ context.Context, _ string, recs []profile.Record) []error {
		out := make([]error, len(recs))
		out[0], out[1], out[3] = full, fault.New(fault.Invalid, "wrong"), full
		return out
	})
	c := newClient(t)
	errs := c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", batch(t, 5), []int{0, 1, 2, 4})
	require.Len(t, errs, 4)
	for _, i := range []int{0, 3} {
		require.True(t, fault.Is(errs[i], fault.Exhausted))
		require.Equal(t, "head_full", fault.ReasonOf(errs[i]))
		require.EqualError(t, errs[i], "no room")
		var hint *upload.RetryError
		require.ErrorAs(t, errs[i], &hint)
		require.Equal(t, 3*time.Second, hint.After)
	}
	require.True(t, fault.Is(errs[1], fault.Invalid))
	require.NoError(t, errs[2])
	require.Equal(t, 1, testutil.CollectAndCount(c.metrics.duration))
}

// TestManyAtATime: one stream carries many pushes, and answers find theirs.
func TestManyAtATime(t *testing.T) {
	addr, _ := serve(t, 0, func(_ context.Context, tenantID string, recs []profile.Record) []error {
		if recs[0].ID%3 == 0 {
			return []error{fault.New(fault.Invalid, "%s %d", tenantID, recs[0].ID)}
		}
		return nil
	})
	c, b := newClient(t), batch(t, 50)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 5 {
				errs := c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, fmt.Sprint("t", i), b, []int{i})
				if i%3 == 0 {
					require.EqualError(t, errs[0], fmt.Sprintf("t%d %d", i, i))
				} else {
					require.Nil(t, errs)
				}
			}
		})
	}
	all.Wait()
}

// TestStalledIngester: one that takes everything and answers nothing costs its
// own pushes their timeout and a bounded amount of memory, and others nothing.
func TestStalledIngester(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	var stalls atomic.Bool
	stalls.Store(true)
	bad, _ := serve(t, 0, func(context.Context, string, []profile.Record) []error {
		if stalls.Load() {
			<-release
		}
		return nil
	})
	good, _ := serve(t, 0, accept)
	c, b := newClient(t), batch(t, 1)
	c.limit = 10 * b.MessageSize([]int{0})
	var all sync.WaitGroup
	var refusals, timeouts atomic.Int64
	for range 40 {
		all.Go(func() {
			errs := c.Push(within(t, 3*time.Second), &cluster.Peer{Addr: bad}, "t", b, []int{0})
			require.True(t, fault.Is(errs[0], fault.Unavailable))
			switch {
			case errors.Is(errs[0], context.DeadlineExceeded), fault.Is(errors.Unwrap(errs[0]), fault.Unavailable):
				timeouts.Add(1)
			default:
				require.ErrorContains(t, errs[0], "does not keep up")
				refusals.Add(1)
			}
		})
	}
	start := time.Now()
	for range 20 {
		require.Nil(t, c.Push(within(t, time.Minute), &cluster.Peer{Addr: good}, "t", b, []int{0}))
	}
	require.Less(t, time.Since(start), 20*time.Second)
	all.Wait()
	require.EqualValues(t, 10, timeouts.Load())
	require.EqualValues(t, 30, refusals.Load())
	// The stream was broken, and is opened anew once the pause is over.
	stalls.Store(false)
	pause := func(d time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		require.Nil(t, c.peers[target{addr: bad}].current)
		c.peers[target{addr: bad}].notBefore = time.Now().Add(d)
	}
	pause(time.Hour)
	require.ErrorContains(t, c.Push(within(t, time.Minute), &cluster.Peer{Addr: bad}, "t", b, []int{0})[0], "is tried again in")
	pause(0)
	require.Eventually(t, func() bool { return c.Push(within(t, time.Minute), &cluster.Peer{Addr: bad}, "t", b, []int{0}) == nil }, 10*time.Second, 10*time.Millisecond)
}

// TestIngesterDiesAndComesBack: pushes that wait fail at once, and later ones
// find the new process.
func TestIngesterDiesAndComesBack(t *testing.T) {
	began, release := make(chan struct{}, 1), make(chan struct{})
	addr, stop := serve(t, 0, func(context.Context, string, []profile.Record) []error {
		began <- struct{}{}
		<-release
		return nil
	})
	c, b := newClient(t), batch(t, 1)
	failed := make(chan error, 1)
	go func() { failed <- c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", b, []int{0})[0] }()
	<-began
	go stop()
	err := <-failed
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	require.ErrorContains(t, err, "the stream to the ingester at "+addr+" is broken")
	close(release)
	stop()
	require.Error(t, c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", b, []int{0})[0])
	_, text, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	serve(t, port, accept)
	require.Eventually(t, func() bool { return c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", b, []int{0}) == nil }, 20*time.Second, 10*time.Millisecond)
}

func TestPanicIsAnErrorOfItsPush(t *testing.T) {
	addr, _ := serve(t, 0, func(context.Context, string, []profile.Record) []error { panic("no") })
	c := newClient(t)
	for range 2 {
		require.ErrorContains(t, c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", batch(t, 1), []int{0})[0], "internal error")
	}
}

// TestSkew: requests and answers of other versions are told apart from those
// that are understood.
func TestSkew(t *testing.T) {
	s := NewServer(ingester(accept), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	newer := &hearthv1.PushRequest{Id: 3, Tenant: "t"}
	newer.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	_, err := readAnswer(s.serve(context.Background(), newer), 1)
	require.True(t, fault.Is(err, fault.Unavailable))
	require.ErrorContains(t, err, "the distributor is of a newer version")
	_, err = readAnswer(s.serve(context.Background(), &hearthv1.PushRequest{Tenant: "t", Records: []byte{200}}), 1)
	require.True(t, fault.Is(err, fault.Unavailable))
	require.ErrorContains(t, err, "the version is 200")
	_, err = readAnswer(s.serve(context.Background(), &hearthv1.PushRequest{Tenant: "../x", Records: []byte{1}}), 1)
	require.ErrorContains(t, err, "no proper tenant")
	_, err = readAnswer(&hearthv1.PushResponse{Records: 3}, 2)
	require.ErrorContains(t, err, "is about 3 records, the push had 2")
	_, err = readAnswer(&hearthv1.PushResponse{Records: 2, Failures: []*hearthv1.PushFailure{{Records: []uint32{2}}}}, 2)
	require.ErrorContains(t, err, "names record 2 of a push of 2")
	_, err = readAnswer(&hearthv1.PushResponse{Failures: []*hearthv1.PushFailure{{Status: []byte{0xff}}}}, 2)
	require.ErrorContains(t, err, "cannot be read")
}

func TestClosedClient(t *testing.T) {
	addr, _ := serve(t, 0, accept)
	c, b := newClient(t), batch(t, 1)
	require.Nil(t, c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", b, []int{0}))
	require.NoError(t, c.Close())
	require.ErrorContains(t, c.Push(within(t, time.Minute), &cluster.Peer{Addr: addr}, "t", b, []int{0})[0], "the process is stopping")
}
