package rpc

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

// script is a service of two methods: Do is a call, Talk a stream that the
// caller keeps open.
type script struct {
	do   func(ctx context.Context, in string) (string, error)
	talk func(s grpc.ServerStream) error
}

var scriptDesc = grpc.ServiceDesc{
	ServiceName: "test.Script", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Do", Handler: func(impl any, ctx context.Context, decode func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
		in := new(wrapperspb.StringValue)
		if err := decode(in); err != nil {
			return nil, err
		}
		return around(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/test.Script/Do"}, func(ctx context.Context, in any) (any, error) {
			out, err := impl.(*script).do(ctx, in.(*wrapperspb.StringValue).Value)
			return wrapperspb.String(out), err
		})
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(impl any, s grpc.ServerStream) error {
		return impl.(*script).talk(s)
	}}},
}

func do(ctx context.Context, cc grpc.ClientConnInterface, in string) (string, error) {
	out := new(wrapperspb.StringValue)
	err := cc.Invoke(ctx, "/test.Script/Do", wrapperspb.String(in), out)
	return out.Value, ToFault(err)
}

func talk(ctx context.Context, cc grpc.ClientConnInterface) (grpc.ClientStream, error) {
	return cc.NewStream(ctx, &scriptDesc.Streams[0], "/test.Script/Talk")
}

func settings(t testing.TB, args ...string) Config {
	t.Helper()
	var cfg Config
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	cfg.RegisterFlags(fs)
	require.NoError(t, fs.Parse(append([]string{"-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port=0"}, args...)))
	require.Empty(t, cfg.Validate())
	return cfg
}

// serve starts a server, which ends with the test or when stop is called.
func serve(t testing.TB, cfg Config, impl *script, opts ...Option) (s *Server, addr string, stop func()) {
	t.Helper()
	s, err := NewServer(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), opts...)
	require.NoError(t, err)
	s.RegisterService(&scriptDesc, impl)
	require.NoError(t, s.Listen(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return s, fmt.Sprintf("127.0.0.1:%d", s.Port()), stop
}

func newPool(t testing.TB, cfg Config, opts ...Option) *Pool {
	t.Helper()
	p, err := NewPool(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func conn(t testing.TB, p *Pool, addr string) *grpc.ClientConn {
	t.Helper()
	cc, err := p.Conn(addr)
	require.NoError(t, err)
	return cc
}

func echo(ctx context.Context, in string) (string, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		id = "nobody"
	}
	return id + " says " + in, nil
}

func TestCallsCarryTheTenant(t *testing.T) {
	s, addr, _ := serve(t, settings(t), &script{do: echo, talk: func(s grpc.ServerStream) error {
		id, err := tenant.From(s.Context())
		return errors.Join(err, s.SendMsg(wrapperspb.String(id)))
	}})
	require.NotZero(t, s.Port())
	cc := conn(t, newPool(t, settings(t)), addr)
	out, err := do(t.Context(), cc, "hello")
	require.NoError(t, err)
	require.Equal(t, "nobody says hello", out)
	ctx := tenant.With(t.Context(), "team-a")
	out, err = do(ctx, cc, "hello")
	require.NoError(t, err)
	require.Equal(t, "team-a says hello", out)
	stream, err := talk(ctx, cc)
	require.NoError(t, err)
	got := new(wrapperspb.StringValue)
	require.NoError(t, stream.RecvMsg(got))
	require.Equal(t, "team-a", got.Value)
	require.ErrorIs(t, stream.RecvMsg(got), io.EOF)

	_, err = do(tenant.With(t.Context(), "a/b"), cc, "hello")
	require.True(t, fault.Is(err, fault.Invalid), "%v", err)
}

func TestPanicEndsTheCallOnly(t *testing.T) {
	s, addr, _ := serve(t, settings(t), &script{
		do:   func(context.Context, string) (string, error) { panic("boom") },
		talk: func(grpc.ServerStream) error { panic("boom") },
	})
	cc := conn(t, newPool(t, settings(t)), addr)
	_, err := do(t.Context(), cc, "")
	require.ErrorContains(t, err, "process at "+addr+": internal error")
	require.NotContains(t, err.Error(), "boom")
	stream, err := talk(t.Context(), cc)
	require.NoError(t, err)
	require.ErrorContains(t, stream.RecvMsg(new(wrapperspb.StringValue)), "internal error")
	require.EqualValues(t, 2, testutil.ToFloat64(s.panics))
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = do(ctx, conn(t, newPool(t, settings(t)), addr), "")
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	require.ErrorContains(t, err, "process at "+addr+" cannot be reached")
	require.NoError(t, ctx.Err(), "it does not wait")
}

// gate passes connections on to addr until it is shut: then bytes get lost, as
// to a process that is stopped, in both directions.
type gate struct {
	net.Listener
	shut atomic.Bool
}

func newGate(t *testing.T, addr string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gate{Listener: l}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	pass := func(dst, src net.Conn) {
		defer context.AfterFunc(ctx, func() { _ = src.Close() })()
		b := make([]byte, 64<<10)
		for {
			n, err := src.Read(b)
			if err != nil {
				_ = dst.Close()
				return
			}
			if !g.shut.Load() {
				_, _ = dst.Write(b[:n])
			}
		}
	}
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			running.Go(func() { pass(out, in) })
			running.Go(func() { pass(in, out) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		running.Wait()
	})
	return g
}

func TestSilentProcessIsNoticed(t *testing.T) {
	entered := make(chan bool, 2)
	_, addr, _ := serve(t, settings(t), &script{do: func(ctx context.Context, in string) (string, error) {
		if in == "wait" {
			entered <- true
			<-ctx.Done()
			return "", ctx.Err()
		}
		return in, nil
	}, talk: func(s grpc.ServerStream) error {
		entered <- true
		<-s.Context().Done()
		return s.Context().Err()
	}})
	g := newGate(t, addr)
	p := newPool(t, settings(t))
	// A machine that does much else does not answer at once.
	p.quietAfter, p.answerWithin = 200*time.Millisecond, time.Second
	cc := conn(t, p, g.Addr().String())

	// Calls that take long are not cut while the process answers probes.
	wait := make(chan error, 1)
	go func() { _, err := do(context.Background(), cc, "wait"); wait <- err }()
	stream, err := talk(context.Background(), cc)
	require.NoError(t, err)
	<-entered
	<-entered
	time.Sleep(2 * (p.quietAfter + p.answerWithin))
	require.Empty(t, wait)
	require.Zero(t, testutil.ToFloat64(p.cuts))

	g.shut.Store(true)
	for _, err := range []error{<-wait, ToFault(stream.RecvMsg(new(wrapperspb.StringValue)))} {
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		require.ErrorContains(t, err, "process at "+g.Addr().String()+" cannot be reached")
	}
	require.EqualValues(t, 1, testutil.ToFloat64(p.cuts))

	// It is called again by itself when it is back.
	g.shut.Store(false)
	require.Eventually(t, func() bool { out, _ := do(context.Background(), cc, "back"); return out == "back" }, 15*time.Second, 50*time.Millisecond)
}

func TestCancelledIsWhoCancels(t *testing.T) {
	_, addr, stop := serve(t, settings(t), &script{do: func(ctx context.Context, in string) (string, error) {
		switch in {
		case "its own":
			return "", fmt.Errorf("ask the store: %w", context.Canceled)
		case "deadline":
			return "", context.DeadlineExceeded
		}
		<-ctx.Done()
		return "", ctx.Err()
	}})
	p := newPool(t, settings(t))
	cc := conn(t, p, addr)
	_, err := do(t.Context(), cc, "its own")
	require.NotErrorIs(t, err, context.Canceled)
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	_, err = do(t.Context(), cc, "deadline")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, addr)

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = do(ctx, cc, "mine")
	require.ErrorIs(t, err, context.Canceled)
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = do(ctx, cc, "mine")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	stop()
	_, err = do(t.Context(), cc, "its own")
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
}

func TestStopLetsCallsFinish(t *testing.T) {
	entered := make(chan bool, 2)
	s, addr, stop := serve(t, settings(t), &script{do: func(context.Context, string) (string, error) {
		entered <- true
		time.Sleep(200 * time.Millisecond)
		return "done", nil
	}, talk: func(s grpc.ServerStream) error {
		entered <- true
		return s.RecvMsg(new(wrapperspb.StringValue)) // ends only when it is cut
	}})
	s.endless = func(method string) bool { return method == "/test.Script/Talk" }
	cc := conn(t, newPool(t, settings(t)), addr)
	stream, err := talk(t.Context(), cc)
	require.NoError(t, err)
	got := make(chan string, 1)
	go func() {
		out, err := do(context.Background(), cc, "")
		got <- fmt.Sprint(out, err)
	}()
	<-entered
	<-entered
	begin := time.Now()
	stop()
	require.Equal(t, "done<nil>", <-got)
	require.True(t, fault.Is(ToFault(stream.RecvMsg(new(wrapperspb.StringValue))), fault.Unavailable))
	require.Less(t, time.Since(begin), stopPatience, "streams without an end are not waited for that long")
	<-s.Stopping()
	_, err = do(t.Context(), cc, "")
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
}

func TestRetain(t *testing.T) {
	_, addr, _ := serve(t, settings(t), &script{do: echo, talk: func(s grpc.ServerStream) error { return s.RecvMsg(new(wrapperspb.StringValue)) }})
	p := newPool(t, settings(t))
	cc := conn(t, p, addr)
	stream, err := talk(t.Context(), cc)
	require.NoError(t, err)
	p.Retain(nil)
	require.Same(t, cc, conn(t, p, addr), "it has a call")
	require.NoError(t, stream.CloseSend())
	_ = stream.RecvMsg(new(wrapperspb.StringValue))
	p.Retain([]string{addr})
	require.Same(t, cc, conn(t, p, addr))
	p.Retain(nil)
	again := conn(t, p, addr)
	require.NotSame(t, cc, again)
	_, err = do(t.Context(), again, "")
	require.NoError(t, err)
	require.NoError(t, p.Close())
	_, err = p.Conn(addr)
	require.True(t, fault.Is(err, fault.Unavailable))
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry() // one for both, as in a process
	s, err := NewServer(settings(t), reg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	p, err := NewPool(settings(t), reg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s.RegisterService(&scriptDesc, &script{do: echo})
	require.NoError(t, s.Listen(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	cc := conn(t, p, fmt.Sprintf("127.0.0.1:%d", s.Port()))
	_, err = do(t.Context(), cc, "")
	require.NoError(t, err)
	require.True(t, fault.Is(ToFault(cc.Invoke(t.Context(), "/evil/1", wrapperspb.String(""), new(wrapperspb.StringValue))), fault.Unimplemented))
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, p.Close())
	families, err := reg.Gather()
	require.NoError(t, err)
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "hearth_rpc_request_duration_seconds" {
				text := ""
				for _, l := range m.GetLabel() {
					text += l.GetValue() + " "
				}
				got = append(got, fmt.Sprint(text, m.GetHistogram().GetSampleCount()))
			}
		}
	}
	require.ElementsMatch(t, []string{
		"OK /test.Script/Do client 1", "OK /test.Script/Do server 1",
		"Unimplemented /evil/1 client 1", // and none of the server: strangers cannot invent any
	}, got)
}
