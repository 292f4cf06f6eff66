package http

import (
	nethttp "net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// withSpan makes a span of a request, in the trace of its client if it names
// one.
func (s *Server) withSpan(next nethttp.Handler) nethttp.Handler {
	if s.tracer == nil {
		return next
	}
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := s.tracer.Start(ctx, method(r)+" "+r.Pattern, trace.WithSpanKind(trace.SpanKindServer))
		answer, ok := w.(*recorder)
		if !ok {
			answer = &recorder{ResponseWriter: w}
		}
		status := nethttp.StatusInternalServerError // if next panics
		defer func() { s.endSpan(span, r, status) }()
		next.ServeHTTP(answer, r.WithContext(ctx))
		status = answer.code()
	})
}

// endSpan names the span after the route: that a path is one is known only when
// it was answered.
func (s *Server) endSpan(span trace.Span, r *nethttp.Request, status int) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	route := s.metrics.route(r, status)
	span.SetName(method(r) + " " + route)
	span.SetAttributes(
		attribute.String("http.request.method", method(r)),
		attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status),
	)
	if status >= nethttp.StatusInternalServerError {
		span.SetStatus(codes.Error, nethttp.StatusText(status))
	}
}
