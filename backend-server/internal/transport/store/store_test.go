package store_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/asked"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/store"
)

// fake is a store of one entry that counts its open sessions.
type fake struct {
	fail  error // of every call
	hangs bool  // Ask does, until its context ends

	mu     sync.Mutex
	open   int
	tenant string
	refs   []replica.Ref
	picks  []replica.Pick
}

var shown = []replica.Unit{{
	Origin:  query.Origin{ID: ulid.ULID{1}, Parent: ulid.ULID{2}, Source: ulid.ULID{3}},
	Entries: []replica.Entry{{Series: replica.Series{Hi: 1, Lo: 2}, Window: -7, Counter: true, Digest: replica.Digest{Count: 3, Sum: 4}}},
}}

func (f *fake) Open(_ context.Context, tenantID string, _ *question.Question) (replica.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tenant = tenantID; f.fail != nil {
		return nil, f.fail
	}
	f.open++
	return &session{f: f}, nil
}

func (f *fake) List(context.Context, string, *question.Question) (*question.Answer, error) {
	return &question.Answer{Texts: []string{"a", "b"}}, f.fail
}

func (f *fake) sessions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// breaks has what follows fail.
func (f *fake) breaks(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

type session struct {
	f    *fake
	once sync.Once
}

func (s *session) Units() []replica.Unit { return shown }

func (s *session) Rows(_ context.Context, refs []replica.Ref) ([][]replica.Row, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.f.refs = refs
	out := make([][]replica.Row, len(refs))
	for i := range out {
		out[i] = []replica.Row{{ID: 1, Time: 2, Total: 3}}
	}
	return out, s.f.fail
}

func (s *session) Ask(ctx context.Context, picks []replica.Pick) (*question.Answer, error) {
	s.f.mu.Lock()
	s.f.picks = picks
	hangs, err := s.f.hangs, s.f.fail
	s.f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &question.Answer{Tree: tree.New()}, err
}

func (s *session) Close() {
	s.once.Do(func() {
		s.f.mu.Lock()
		defer s.f.mu.Unlock()
		s.f.open--
	})
}

// serve has a process show f as its ingester, and returns a connection to it.
func serve(t *testing.T, f *fake) *grpc.ClientConn {
	t.Helper()
	var cfg rpc.Config
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	cfg.RegisterFlags(fs)
	require.NoError(t, fs.Parse([]string{"-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port=0"}))
	s, err := rpc.NewServer(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	store.Register(s, store.Stores{Ingester: f})
	require.NoError(t, s.Listen(t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	pool, err := rpc.NewPool(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, pool.Close())
		cancel()
		require.NoError(t, <-ended)
	})
	conn, err := pool.Conn(fmt.Sprintf("127.0.0.1:%d", s.Port()))
	require.NoError(t, err)
	return conn
}

// sums is a question that sums.
func sums() *question.Question {
	typ, err := profile.ParseType("process_cpu:cpu:nanoseconds:cpu:nanoseconds")
	if err != nil {
		panic(err)
	}
	return &question.Question{Kind: question.Tree, Selection: query.Selection{Type: typ, Range: profile.TimeRange{Start: 1, End: 2}}}
}

func released(t *testing.T, f *fake) {
	t.Helper()
	require.Eventually(t, func() bool { return f.sessions() == 0 }, 10*time.Second, time.Millisecond, "the snapshot is let go of")
}

func TestSession(t *testing.T) {
	f := &fake{}
	s, err := store.Ingester(serve(t, f)).Open(t.Context(), "acme", sums())
	require.NoError(t, err)
	require.Equal(t, shown, s.Units())
	require.Equal(t, "acme", f.tenant)
	refs := []replica.Ref{{Unit: 0, Entry: 0}, {Unit: 5, Entry: 300}}
	for range 2 {
		rows, err := s.Rows(t.Context(), refs)
		require.NoError(t, err)
		require.Equal(t, [][]replica.Row{{{ID: 1, Time: 2, Total: 3}}, {{ID: 1, Time: 2, Total: 3}}}, rows)
	}
	picks := []replica.Pick{{Unit: 0, Entries: []replica.EntryPick{{Entry: 0, IDs: []uint64{1}}}}}
	for range 2 {
		a, err := s.Ask(t.Context(), picks)
		require.NoError(t, err)
		require.Zero(t, a.Tree.Total())
	}
	require.Equal(t, refs, f.refs)
	require.Equal(t, picks, f.picks)
	require.Equal(t, 1, f.sessions(), "held while it is open")
	s.Close()
	s.Close()
	released(t, f)
	_, err = s.Ask(t.Context(), nil)
	require.Error(t, err)
}

func TestList(t *testing.T) {
	a, err := store.Ingester(serve(t, &fake{})).List(t.Context(), "acme", &question.Question{Kind: question.LabelNames})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, a.Texts)
}

// TestReaderGivesUp lets go of the snapshot, whatever the session does.
func TestReaderGivesUp(t *testing.T) {
	t.Run("its context ends", func(t *testing.T) {
		f := &fake{}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := store.Ingester(serve(t, f)).Open(ctx, "acme", sums())
		require.NoError(t, err)
		cancel()
		released(t, f)
	})
	t.Run("a call's context ends", func(t *testing.T) {
		f := &fake{hangs: true}
		s, err := store.Ingester(serve(t, f)).Open(t.Context(), "acme", sums())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = s.Ask(ctx, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		released(t, f)
		_, err = s.Rows(t.Context(), nil)
		require.Error(t, err, "the answer to another call might come")
	})
	t.Run("it closes while it is asked", func(t *testing.T) {
		f := &fake{hangs: true}
		s, err := store.Ingester(serve(t, f)).Open(t.Context(), "acme", sums())
		require.NoError(t, err)
		done := make(chan error)
		go func() {
			_, err := s.Ask(t.Context(), nil)
			done <- err
		}()
		time.Sleep(10 * time.Millisecond)
		s.Close()
		require.Error(t, <-done)
		released(t, f)
	})
	t.Run("it is gone", func(t *testing.T) {
		f := &fake{hangs: true}
		conn, err := grpc.NewClient(serve(t, f).Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		s, err := store.Ingester(conn).Open(t.Context(), "acme", sums())
		require.NoError(t, err)
		time.AfterFunc(10*time.Millisecond, func() { _ = conn.Close() })
		_, err = s.Ask(t.Context(), nil)
		require.Error(t, err)
		released(t, f)
	})
}

// TestErrors keep their kinds at every stage, and end the session.
func TestErrors(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Invalid, fault.TooLarge, fault.Exhausted, fault.Unavailable, fault.Corrupt, fault.Unimplemented} {
		broken := fault.New(kind, "field x: 5 is over 3")
		f := &fake{fail: broken}
		conn := serve(t, f)
		stores := store.Ingester(conn)
		_, err := stores.Open(t.Context(), "acme", sums())
		require.EqualError(t, err, broken.Error())
		require.True(t, fault.Is(err, kind), "open: %v", err)
		_, err = stores.List(t.Context(), "acme", &question.Question{Kind: question.LabelNames})
		require.True(t, fault.Is(err, kind), "list: %v", err)
		for _, call := range []func(replica.Session) error{
			func(s replica.Session) error { _, err := s.Rows(t.Context(), nil); return err },
			func(s replica.Session) error { _, err := s.Ask(t.Context(), nil); return err },
		} {
			f.breaks(nil)
			s, err := stores.Open(t.Context(), "acme", sums())
			require.NoError(t, err)
			f.breaks(broken)
			err = call(s)
			require.True(t, fault.Is(err, kind), "%v", err)
			released(t, f)
		}
	}
	f := &fake{}
	conn := serve(t, f)
	_, err := store.Gateway(conn).Open(t.Context(), "acme", sums())
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	_, err = store.Ingester(conn).Open(t.Context(), "a/../b", sums())
	require.Error(t, err, "no tenant")
	strange := sums()
	strange.Kind = 77
	_, err = store.Ingester(conn).Open(t.Context(), "acme", strange)
	require.True(t, fault.Is(err, fault.Unimplemented) || fault.Is(err, fault.Invalid), "%v", err)
}

// TestMessagesOfOtherVersions are refused in words.
func TestMessagesOfOtherVersions(t *testing.T) {
	f := &fake{}
	service := hearthv1.NewStoreServiceClient(serve(t, f))
	talk := func(messages ...*hearthv1.ReadRequest) error {
		stream, err := service.Read(t.Context())
		require.NoError(t, err)
		for range len(messages) - 1 {
			require.NoError(t, stream.Send(messages[0]))
			_, err = stream.Recv()
			require.NoError(t, err)
			messages = messages[1:]
		}
		require.NoError(t, stream.Send(messages[0]))
		_, err = stream.Recv()
		require.Error(t, err)
		return rpc.ToFault(err)
	}
	open := &hearthv1.ReadRequest{What: &hearthv1.ReadRequest_Open{Open: &hearthv1.ListRequest{
		Role: hearthv1.Role_ROLE_INGESTER, Tenant: "acme", Question: asked.EncodeQuestion(sums()),
	}}}
	unknown := &hearthv1.ReadRequest{}
	unknown.ProtoReflect().SetUnknown([]byte{0x7a, 1, 'x'}) // field 15
	for name, c := range map[string]struct {
		messages []*hearthv1.ReadRequest
		kind     fault.Kind
	}{
		"nothing first":      {[]*hearthv1.ReadRequest{{}}, fault.Invalid},
		"rows first":         {[]*hearthv1.ReadRequest{{What: &hearthv1.ReadRequest_Refs{}}}, fault.Invalid},
		"an unknown message": {[]*hearthv1.ReadRequest{open, unknown}, fault.Unimplemented},
		"opened twice":       {[]*hearthv1.ReadRequest{open, open}, fault.Unimplemented},
		"newer references":   {[]*hearthv1.ReadRequest{open, {What: &hearthv1.ReadRequest_Refs{Refs: []byte{3, 0}}}}, fault.Corrupt},
		"newer picks":        {[]*hearthv1.ReadRequest{open, {What: &hearthv1.ReadRequest_Picks{Picks: []byte{3, 0}}}}, fault.Corrupt},
		"no role":            {[]*hearthv1.ReadRequest{{What: &hearthv1.ReadRequest_Open{Open: &hearthv1.ListRequest{Tenant: "acme"}}}}, fault.Unavailable},
		"no question":        {[]*hearthv1.ReadRequest{{What: &hearthv1.ReadRequest_Open{Open: &hearthv1.ListRequest{Tenant: "acme", Role: 1}}}}, fault.Unimplemented},
	} {
		err := talk(c.messages...)
		require.True(t, fault.Is(err, c.kind), "%s: %v is %s", name, err, fault.KindOf(err))
		t.Logf("%s: %v", name, err)
		released(t, f)
	}
}

// TestReadersOfEarlierVersions do not say which encodings they know; they get one
// that all know.
func TestReadersOfEarlierVersions(t *testing.T) {
	f := &fake{}
	stream, err := hearthv1.NewStoreServiceClient(serve(t, f)).Read(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&hearthv1.ReadRequest{What: &hearthv1.ReadRequest_Open{Open: &hearthv1.ListRequest{
		Role: hearthv1.Role_ROLE_INGESTER, Tenant: "acme", Question: asked.EncodeQuestion(sums()),
	}}}))
	res, err := stream.Recv()
	require.NoError(t, err)
	require.Equal(t, byte(replica.Encoding2), res.GetUnits()[0])
	require.NoError(t, stream.Send(&hearthv1.ReadRequest{What: &hearthv1.ReadRequest_Refs{Refs: replica.AppendRefs(nil, nil)}}))
	res, err = stream.Recv()
	require.NoError(t, err)
	require.Equal(t, byte(replica.Encoding2), res.GetRows()[0])
	require.NoError(t, stream.CloseSend())
	_, err = stream.Recv()
	require.Error(t, err)
	released(t, f)
}
