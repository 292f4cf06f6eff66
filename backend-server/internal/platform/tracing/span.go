package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Span is a piece of work in a trace. Its zero value is that of no trace.
type Span struct{ span trace.Span }

// Start begins a span as a part of that in ctx. If there is none, or its trace
// is not sampled, it costs nothing but the attributes. The caller must End it.
func Start(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if _, begins := parent.(from); !begins && !parent.SpanContext().IsSampled() {
		return ctx, Span{}
	}
	inside, s := parent.TracerProvider().Tracer(Scope).Start(ctx, name, trace.WithAttributes(attrs...))
	if !s.SpanContext().IsValid() { // no tracing here; what was carried here goes on
		return ctx, Span{}
	}
	return inside, Span{s}
}

// Set adds attributes.
func (s Span) Set(attrs ...attribute.KeyValue) {
	if s.span != nil {
		s.span.SetAttributes(attrs...)
	}
}

// End ends the span, as a failure if err is not nil.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}

// from is a span of somewhere else, with the provider for its parts here.
type from struct {
	trace.Span
	provider trace.TracerProvider
}

// TracerProvider implements trace.Span.
func (f from) TracerProvider() trace.TracerProvider { return f.provider }

const parentKey = "traceparent"

// Carry returns what Continue needs to go on with the trace of ctx in another
// process: a W3C traceparent, or "" if there is none.
func Carry(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[parentKey]
}

// Continue returns a context in which Start makes parts of the span that was
// carried here. ctx must be one with a span of this process, such as that of
// the stream it came by, or of Root: it has the provider. What cannot be
// understood changes nothing.
func Continue(ctx context.Context, carried string) context.Context {
	if carried == "" {
		return ctx
	}
	remote := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{parentKey: carried})
	sc := trace.SpanContextFromContext(remote)
	if !sc.IsValid() {
		return ctx
	}
	provider := trace.SpanFromContext(ctx).TracerProvider()
	return trace.ContextWithSpan(ctx, from{trace.SpanFromContext(remote), provider})
}
