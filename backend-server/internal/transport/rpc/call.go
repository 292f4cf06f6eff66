package rpc

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

// tenantKey is the header of the tenant; gRPC wants lower case.
var tenantKey = strings.ToLower(tenant.Header)

// withTenant tells the other side the tenant of ctx, if it has one.
func withTenant(ctx context.Context) context.Context {
	id, err := tenant.From(ctx)
	if err != nil {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, tenantKey, id)
}

// tenantOf returns a context with the tenant of the caller, if it has named one.
func tenantOf(ctx context.Context) (context.Context, error) {
	ids := metadata.ValueFromIncomingContext(ctx, tenantKey)
	if len(ids) == 0 {
		return ctx, nil
	}
	if err := tenant.Validate(ids[0]); err != nil {
		return ctx, err
	}
	return tenant.With(ctx, ids[0]), nil
}

// unary is what surrounds a call to the process.
func (to *peer) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return to.explain(ctx, call(to.identity.toCluster(withTenant(ctx)), method, req, reply, cc, opts...))
}

// stream is the same for a stream.
func (to *peer) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := open(to.identity.toCluster(withTenant(ctx)), desc, cc, method, opts...)
	if err != nil {
		return nil, to.explain(ctx, err)
	}
	return &explained{ClientStream: s, to: to, ctx: ctx}, nil
}

// explained is a stream whose errors say who it was with.
type explained struct {
	grpc.ClientStream
	to  *peer
	ctx context.Context // the caller's
}

// RecvMsg implements grpc.ClientStream.
func (s *explained) RecvMsg(m any) error { return s.to.explain(s.ctx, s.ClientStream.RecvMsg(m)) }

// SendMsg implements grpc.ClientStream.
func (s *explained) SendMsg(m any) error { return s.to.explain(s.ctx, s.ClientStream.SendMsg(m)) }

// explain makes errors that come from gRPC say which process they are about
// (P1, P3). What handlers have said stays.
func (to *peer) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok || failureOf(s) != nil {
		return err
	}
	switch code := s.Code(); {
	case code == codes.Canceled && ctx.Err() == nil:
		// Its end is not ours: it is being stopped, or the pool is closed.
		return status.Errorf(codes.Unavailable, "process at %s: %s", to.addr, s.Message())
	case code == codes.Unavailable:
		return status.Errorf(code, "process at %s cannot be reached: %s", to.addr, s.Message())
	case code == codes.DeadlineExceeded, code == codes.ResourceExhausted, code == codes.Unimplemented, code == codes.Internal:
		return status.Errorf(code, "process at %s: %s", to.addr, s.Message())
	}
	return err
}
