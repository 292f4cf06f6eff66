package rpc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
)

// TestOneTrace goes from a process to a second and from there to a third.
func TestOneTrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := func() Option { return WithTracing(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))) }
	_, third, stopThird := serve(t, settings(t), &script{do: func(ctx context.Context, _ string) (string, error) {
		_, part := tracing.Start(ctx, "part")
		part.End(nil)
		return "", nil
	}}, provider())
	p := newPool(t, settings(t), provider())
	_, second, stop := serve(t, settings(t), &script{do: func(ctx context.Context, in string) (string, error) {
		return do(ctx, conn(t, p, third), in)
	}}, provider())
	_, err := do(t.Context(), conn(t, p, second), "")
	require.NoError(t, err)
	stop() // spans of a server end after its answers
	stopThird()
	ended := spans.Ended()
	require.Len(t, ended, 5)
	byID := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range ended {
		byID[s.SpanContext().SpanID().String()] = s
		require.Equal(t, ended[0].SpanContext().TraceID(), s.SpanContext().TraceID())
	}
	depth := 0
	for s := ended[0]; s != nil; s = byID[s.Parent().SpanID().String()] {
		depth++
	}
	require.Equal(t, "part", ended[0].Name())
	require.Equal(t, 5, depth)
}
