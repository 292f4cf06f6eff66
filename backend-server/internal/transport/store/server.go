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
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/asked"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// Stores are the stores of this process; those of roles that it does not play
// are nil.
type Stores struct {
	Ingester, Gateway replica.Store
	// Learn makes the store-gateway show a block of the bucket.
	Learn func(ctx context.Context, tenantID string, block ulid.ULID) error
	// LearnDeletions makes the store-gateway show what is left of a tenant.
	LearnDeletions func(ctx context.Context, tenantID string) error
	// Overview tells what there is.
	Overview func(ctx context.Context, tenantID string, q *question.Question) (catalog.Overview, error)
}

// Register adds the service to a gRPC server.
func Register(r grpc.ServiceRegistrar, s Stores) {
	hearthv1.RegisterStoreServiceServer(r, &server{stores: s})
}

type server struct {
	hearthv1.UnimplementedStoreServiceServer
	stores Stores
}

// request is a request that has been checked.
type request struct {
	store    replica.Store
	tenantID string
	question *question.Question
	encoding replica.Encoding
}

func (s *server) request(m *hearthv1.ListRequest) (request, error) {
	r := request{tenantID: m.GetTenant(), encoding: max(replica.Encoding2, replica.Encoding(min(m.GetEncoding(), uint32(replica.Newest))))}
	switch m.GetRole() {
	case hearthv1.Role_ROLE_INGESTER:
		r.store = s.stores.Ingester
	case hearthv1.Role_ROLE_STORE_GATEWAY:
		r.store = s.stores.Gateway
	}
	if r.store == nil {
		return r, fault.New(fault.Unavailable, "this process has no store of the role %s", m.GetRole())
	}
	if err := tenant.Validate(r.tenantID); err != nil {
		return r, err
	}
	var err error
	if r.question, err = asked.DecodeQuestion(m.GetQuestion()); err == nil {
		r.question.Only, err = decodeBlocks(m.GetBlocks())
	}
	return r, err
}

// List implements hearthv1.StoreServiceServer.
func (s *server) List(ctx context.Context, m *hearthv1.ListRequest) (*hearthv1.ListResponse, error) {
	r, err := s.request(m)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	a, err := r.store.List(tenant.With(ctx, r.tenantID), r.tenantID, r.question)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	answer, err := asked.EncodeAnswer(r.question.Kind, a)
	return &hearthv1.ListResponse{Answer: answer}, rpc.ToStatus(err)
}

// Learn implements hearthv1.StoreServiceServer.
func (s *server) Learn(ctx context.Context, m *hearthv1.LearnRequest) (*hearthv1.LearnResponse, error) {
	if s.stores.Learn == nil {
		return nil, rpc.ToStatus(fault.New(fault.Unavailable, "this process is no store-gateway"))
	}
	err := tenant.Validate(m.GetTenant())
	var blocks []ulid.ULID
	if err == nil {
		blocks, err = decodeBlocks(m.GetBlock())
	}
	if err == nil && len(blocks) == 0 {
		err = s.stores.LearnDeletions(ctx, m.GetTenant())
	}
	for _, block := range blocks {
		if err == nil {
			err = s.stores.Learn(ctx, m.GetTenant(), block)
		}
	}
	return new(hearthv1.LearnResponse), rpc.ToStatus(err)
}

// Overview implements hearthv1.StoreServiceServer.
func (s *server) Overview(ctx context.Context, m *hearthv1.OverviewRequest) (*hearthv1.OverviewResponse, error) {
	if s.stores.Overview == nil {
		return nil, rpc.ToStatus(fault.New(fault.Unavailable, "this process is no store-gateway"))
	}
	err := tenant.Validate(m.GetTenant())
	var q *question.Question
	if err == nil {
		q, err = asked.DecodeQuestion(m.GetQuestion())
	}
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	o, err := s.stores.Overview(ctx, m.GetTenant(), q)
	return &hearthv1.OverviewResponse{Blocks: encodeBlocks(o.Blocks), Deletions: asked.EncodeRules(o.Deleted)}, rpc.ToStatus(err)
}

// Read implements hearthv1.StoreServiceServer.
func (s *server) Read(stream grpc.BidiStreamingServer[hearthv1.ReadRequest, hearthv1.ReadResponse]) error {
	return rpc.ToStatus(s.read(stream))
}

func (s *server) read(stream grpc.BidiStreamingServer[hearthv1.ReadRequest, hearthv1.ReadResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetOpen() == nil {
		return fault.New(fault.Invalid, "the first message of a session must open it")
	}
	r, err := s.request(first.GetOpen())
	if err != nil {
		return err
	}
	ctx := tenant.With(stream.Context(), r.tenantID)
	session, err := r.store.Open(ctx, r.tenantID, r.question)
	if err != nil {
		return err
	}
	defer session.Close()
	units := &hearthv1.ReadResponse{What: &hearthv1.ReadResponse_Units{Units: replica.AppendUnits(nil, r.encoding, session.Units())}}
	for out := units; ; {
		if err := stream.Send(out); err != nil {
			return err
		}
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if out, err = r.answer(ctx, session, in); err != nil {
			return err
		}
	}
}

// answer answers a message of a session that is open.
func (r *request) answer(ctx context.Context, session replica.Session, in *hearthv1.ReadRequest) (*hearthv1.ReadResponse, error) {
	switch what := in.GetWhat().(type) {
	case *hearthv1.ReadRequest_Refs:
		refs, err := replica.DecodeRefs(what.Refs)
		if err != nil {
			return nil, err
		}
		rows, err := session.Rows(ctx, refs)
		if err != nil {
			return nil, err
		}
		return &hearthv1.ReadResponse{What: &hearthv1.ReadResponse_Rows{Rows: replica.AppendRows(nil, r.encoding, rows)}}, nil
	case *hearthv1.ReadRequest_Picks:
		picks, err := replica.DecodePicks(what.Picks)
		if err != nil {
			return nil, err
		}
		a, err := session.Ask(ctx, picks)
		if err != nil {
			return nil, err
		}
		answer, err := asked.EncodeAnswer(r.question.Kind, a)
		if err != nil {
			return nil, err
		}
		return &hearthv1.ReadResponse{What: &hearthv1.ReadResponse_Answer{Answer: answer}}, nil
	}
	return nil, fault.New(fault.Unimplemented, "a message of a session asks for something that this process does not know")
}
