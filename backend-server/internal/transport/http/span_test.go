package http

import (
	"log/slog"
	nethttp "net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
)

func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := New(Config{MaxBodyBytes: 1 << 20}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler),
		WithTracing(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))))
	s.HandleAPI("/x.Service/", nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		_, part := tracing.Start(r.Context(), "part")
		part.End(nil)
		switch r.URL.Path {
		case "/x.Service/Panic":
			panic("boom")
		case "/x.Service/Evil":
			nethttp.NotFound(w, r)
		}
	}))
	s.HandleOps("/ready", nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {}))
	r := httptest.NewRequest("POST", "/x.Service/Do", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	call(s, r)
	for _, path := range []string{"/x.Service/Evil", "/x.Service/Panic", "/ready"} {
		call(s, httptest.NewRequest("POST", path, nil))
	}
	ended := spans.Ended()
	require.Len(t, ended, 6)
	for i, name := range []string{"POST /x.Service/Do", "POST /x.Service/", "POST /x.Service/"} {
		part, request := ended[2*i], ended[2*i+1]
		require.Equal(t, name, request.Name())
		require.Equal(t, request.SpanContext().SpanID(), part.Parent().SpanID())
	}
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", ended[0].SpanContext().TraceID().String())
	require.Equal(t, codes.Unset, ended[3].Status().Code)
	require.Equal(t, codes.Error, ended[5].Status().Code)
}
