package store

import (
	"context"
	"errors"
	"io"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/asked"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// client is a replica.Store of another process.
type client struct {
	service hearthv1.StoreServiceClient
	role    hearthv1.Role
}

// Ingester returns the store of the ingester at the other end of a connection.
func Ingester(conn grpc.ClientConnInterface) replica.Store {
	return &client{hearthv1.NewStoreServiceClient(conn), hearthv1.Role_ROLE_INGESTER}
}

// Gateway returns the store of the store-gateway at the other end of a
// connection.
func Gateway(conn grpc.ClientConnInterface) replica.Store {
	return &client{hearthv1.NewStoreServiceClient(conn), hearthv1.Role_ROLE_STORE_GATEWAY}
}

// Overview asks the store-gateway at the other end of a connection what there is
// to be asked for.
func Overview(ctx context.Context, conn grpc.ClientConnInterface, tenantID string, q *question.Question) (catalog.Overview, error) {
	res, err := hearthv1.NewStoreServiceClient(conn).Overview(ctx, &hearthv1.OverviewRequest{Tenant: tenantID, Question: asked.EncodeQuestion(q)})
	if err != nil {
		return catalog.Overview{}, rpc.ToFault(err)
	}
	var out catalog.Overview
	if out.Blocks, err = decodeBlocks(res.GetBlocks()); err == nil {
		out.Deleted, err = asked.DecodeRules(res.GetDeletions())
	}
	return out, err
}

// LearnDeletions tells the store-gateway at the other end of a connection that
// what is deleted of a tenant has changed. Without an error, it shows what is
// left from now on.
func LearnDeletions(ctx context.Context, conn grpc.ClientConnInterface, tenantID string) error {
	_, err := hearthv1.NewStoreServiceClient(conn).Learn(ctx, &hearthv1.LearnRequest{Tenant: tenantID})
	return rpc.ToFault(err)
}

// Learn tells the store-gateway at the other end of a connection of a block in
// the bucket. Without an error, it shows the block from now on.
func Learn(ctx context.Context, conn grpc.ClientConnInterface, tenantID string, block ulid.ULID) error {
	_, err := hearthv1.NewStoreServiceClient(conn).Learn(ctx, &hearthv1.LearnRequest{Tenant: tenantID, Block: block[:]})
	return rpc.ToFault(err)
}

func (c *client) request(tenantID string, q *question.Question) *hearthv1.ListRequest {
	return &hearthv1.ListRequest{Role: c.role, Tenant: tenantID, Question: asked.EncodeQuestion(q), Blocks: encodeBlocks(q.Only), Encoding: uint32(replica.Newest)}
}

// List implements replica.Store.
func (c *client) List(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error) {
	res, err := c.service.List(ctx, c.request(tenantID, q))
	if err != nil {
		return nil, rpc.ToFault(err)
	}
	return asked.DecodeAnswer(q, res.GetAnswer())
}

// Open implements replica.Store.
func (c *client) Open(ctx context.Context, tenantID string, q *question.Question) (replica.Session, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{q: q, cancel: cancel, turn: make(chan struct{}, 1)}
	var err error
	if s.stream, err = c.service.Read(ctx); err == nil {
		err = s.open(ctx, c.request(tenantID, q))
	}
	if err != nil {
		cancel()
		return nil, rpc.ToFault(err)
	}
	return s, nil
}

// session implements replica.Session.
type session struct {
	q      *question.Question
	stream grpc.BidiStreamingClient[hearthv1.ReadRequest, hearthv1.ReadResponse]
	cancel context.CancelFunc
	units  []replica.Unit
	turn   chan struct{} // holds one while a message waits for its answer
}

func (s *session) open(ctx context.Context, r *hearthv1.ListRequest) error {
	res, err := s.call(ctx, &hearthv1.ReadRequest{What: &hearthv1.ReadRequest_Open{Open: r}})
	if err != nil {
		return err
	}
	if _, ok := res.GetWhat().(*hearthv1.ReadResponse_Units); !ok {
		return unexpected("units")
	}
	s.units, err = replica.DecodeUnits(res.GetUnits())
	return err
}

func unexpected(wanted string) error {
	return fault.New(fault.Unimplemented, "a store answers with something that this process does not know, where %s should come", wanted)
}

// call sends a message and waits for its answer. A call that is given up ends
// the session: the answer may come later.
func (s *session) call(ctx context.Context, m *hearthv1.ReadRequest) (*hearthv1.ReadResponse, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	type result struct {
		res *hearthv1.ReadResponse
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-s.turn }()
		// What went wrong with sending is what Recv says.
		if err := s.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
			done <- result{err: err}
			return
		}
		res, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = fault.New(fault.Unavailable, "a store has ended a session")
		}
		done <- result{res, err}
	}()
	select {
	case r := <-done:
		return r.res, rpc.ToFault(r.err)
	case <-ctx.Done():
		s.cancel()
		return nil, context.Cause(ctx)
	}
}

// Units implements replica.Session.
func (s *session) Units() []replica.Unit { return s.units }

// Rows implements replica.Session.
func (s *session) Rows(ctx context.Context, refs []replica.Ref) ([][]replica.Row, error) {
	res, err := s.call(ctx, &hearthv1.ReadRequest{What: &hearthv1.ReadRequest_Refs{Refs: replica.AppendRefs(nil, refs)}})
	if err != nil {
		return nil, err
	}
	if _, ok := res.GetWhat().(*hearthv1.ReadResponse_Rows); !ok {
		return nil, unexpected("rows")
	}
	rows, err := replica.DecodeRows(res.GetRows())
	if err == nil && len(rows) != len(refs) {
		err = fault.New(fault.Corrupt, "a store has sent %d lists of rows; asked for were %d", len(rows), len(refs))
	}
	return rows, err
}

// Ask implements replica.Session.
func (s *session) Ask(ctx context.Context, picks []replica.Pick) (*question.Answer, error) {
	res, err := s.call(ctx, &hearthv1.ReadRequest{What: &hearthv1.ReadRequest_Picks{Picks: replica.AppendPicks(nil, picks)}})
	if err != nil {
		return nil, err
	}
	if _, ok := res.GetWhat().(*hearthv1.ReadResponse_Answer); !ok {
		return nil, unexpected("an answer")
	}
	return asked.DecodeAnswer(s.q, res.GetAnswer())
}

// Close implements replica.Session.
func (s *session) Close() { s.cancel() }
