package rpc

import (
	"context"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unary is what surrounds the handler of a call.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (reply any, err error) {
	s.finite.Add(1)
	defer s.finite.Add(-1)
	defer s.recovered(info.FullMethod, &err)
	if err = s.identity.check(ctx); err == nil {
		ctx, err = tenantOf(ctx)
	}
	if err == nil {
		reply, err = next(ctx, req)
	}
	return reply, ToStatus(err)
}

// stream is the same for a stream.
func (s *Server) stream(impl any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	if !s.endless(info.FullMethod) {
		s.finite.Add(1)
		defer s.finite.Add(-1)
	}
	defer s.recovered(info.FullMethod, &err)
	ctx := stream.Context()
	if err = s.identity.check(ctx); err == nil {
		ctx, err = tenantOf(ctx)
	}
	if err == nil {
		err = next(impl, &owned{stream, ctx})
	}
	return ToStatus(err)
}

// owned is a stream with the tenant of the caller.
type owned struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *owned) Context() context.Context { return s.ctx }

// recovered makes a panic the error of its call (P4).
func (s *Server) recovered(method string, err *error) {
	if p := recover(); p != nil {
		s.panics.Inc()
		s.logger.Error("call panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error: the call made the process panic; its log has the details")
	}
}
