// Package tracing follows a request through processes and roles.
//
// Whether and where spans go is said by OpenTelemetry's own environment
// variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME
// and so on), as in all programs. Without an endpoint there is no provider and
// nothing is made.
//
// The edges (transport/http, transport/rpc) are given the provider and begin
// spans. Below them nobody is: Start takes the provider of the span that is in
// the context, and makes nothing where there is none. So roles need no
// dependency for it, and there is no global.
//
// On a stream that many requests share, each carries its trace by itself: Carry
// on the one side, Continue on the other.
package tracing
