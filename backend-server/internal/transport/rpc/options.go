package rpc

import (
	"context"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"
)

// MaxMessage is the largest message, in bytes: trees and profiles are sent
// whole.
const MaxMessage = 512 << 20

// What a stream, and a connection, may send before the other side has read it,
// in bytes. Trees are megabytes. A window is also what a reader that is slow may
// make us keep.
const (
	streamWindow = 4 << 20
	connWindow   = 16 << 20
	buffer       = 64 << 10 // of a connection, for what goes out and for what comes in
)

// Times after which the other side counts as gone; see the package comment.
const (
	quietAfter   = 3 * time.Second
	answerWithin = 5 * time.Second
	// serverPing is how long a server lets a caller be quiet before it asks, and
	// clientPing the same the other way round; gRPC allows no less than 10 s.
	serverPing = 5 * time.Second
	clientPing = 10 * time.Second
	// connectWithin bounds connecting, to a process that is stopped too: the
	// kernel takes its connections.
	connectWithin = 5 * time.Second
)

// Option changes a Server or a Pool.
type Option func(*options)

type options struct {
	tracer   trace.TracerProvider
	identity *identity // nil: any
}

func apply(all []Option) options {
	var o options
	for _, set := range all {
		set(&o)
	}
	return o
}

// WithTracing has a span made for every call. A nil provider changes nothing.
func WithTracing(p trace.TracerProvider) Option { return func(o *options) { o.tracer = p } }

// WithIdentity says which instance of which cluster this process is. A Server
// refuses calls that were meant for another one (P5), a Pool says which cluster
// it calls. Without it neither does.
func WithIdentity(cluster, instance string) Option {
	return func(o *options) { o.identity = &identity{cluster, instance} }
}

// spans returns what otelgrpc is to know.
func (o options) spans() []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(o.tracer),
		otelgrpc.WithPropagators(propagation.TraceContext{}),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
		otelgrpc.WithFilter(func(i *stats.RPCTagInfo) bool { return i.FullMethodName != probeMethod }),
	}
}

// quietly ends with a context's cause, or nil when t has passed.
func quietly(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
