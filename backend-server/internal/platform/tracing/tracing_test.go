package tracing

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestOff(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, c := range []struct {
		cfg Config
		env map[string]string
	}{
		{Config{true}, nil},
		{Config{false}, map[string]string{endpoint: "http://x"}},
		{Config{true}, map[string]string{endpoint: "http://x", "OTEL_SDK_DISABLED": "true"}},
		{Config{true}, map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "none"}},
	} {
		tr, err := New(t.Context(), c.cfg, Process{}, slog.New(slog.DiscardHandler), env(c.env))
		require.NoError(t, err)
		require.Nil(t, tr)
		require.Nil(t, tr.Provider())
		require.NoError(t, tr.Shutdown(t.Context()))
		ctx, s := Start(tr.Root(t.Context()), "x")
		require.Equal(t, t.Context(), ctx)
		s.Set(attribute.Int("a", 1))
		s.End(errors.New("x"))
		require.Empty(t, Carry(ctx))
	}
	_, err := New(t.Context(), Config{true}, Process{}, slog.New(slog.DiscardHandler), env(map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"}))
	require.ErrorContains(t, err, "want grpc or http/protobuf")
}

// TestSpansArrive sends to a receiver of OTLP.
func TestSpansArrive(t *testing.T) {
	var mu sync.Mutex
	var got []*collector.ExportTraceServiceRequest
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		req := new(collector.ExportTraceServiceRequest)
		if err := proto.Unmarshal(b, req); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, req)
	}))
	defer receiver.Close()
	pairs := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.URL, "OTEL_RESOURCE_ATTRIBUTES": "team=a"}
	for k, v := range pairs { // OpenTelemetry asks by itself
		t.Setenv(k, v)
	}
	tr, err := New(t.Context(), Config{true}, Process{Version: "1", Instance: "i"}, slog.New(slog.DiscardHandler), env(pairs))
	require.NoError(t, err)
	ctx, outer := Start(tr.Root(t.Context()), "flush", attribute.String("tenant", "a"))
	_, inner := Start(ctx, "cut")
	inner.End(errors.New("disk full"))
	outer.End(nil)
	require.NoError(t, tr.Shutdown(t.Context()))
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, got, 1)
	resource := map[string]string{}
	for _, a := range got[0].ResourceSpans[0].Resource.Attributes {
		resource[a.Key] = a.Value.GetStringValue()
	}
	require.Subset(t, resource, map[string]string{"service.name": "hearth", "service.version": "1", "service.instance.id": "i", "team": "a"})
	spans := got[0].ResourceSpans[0].ScopeSpans[0].Spans
	require.Len(t, spans, 2)
	require.Equal(t, "cut", spans[0].Name)
	require.Equal(t, "disk full", spans[0].Status.Message)
	require.Equal(t, spans[1].SpanId, spans[0].ParentSpanId)
	require.Equal(t, spans[1].TraceId, spans[0].TraceId)
	require.Empty(t, spans[1].ParentSpanId)
}

func TestContinue(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	here, err := newTracing(t.Context(), Process{}, sdktrace.WithSpanProcessor(spans))
	require.NoError(t, err)
	request, s := Start(here.Root(t.Context()), "request")
	carried := Carry(request)
	s.End(nil)
	require.NotEmpty(t, carried)

	stream, s := Start(here.Root(t.Context()), "stream")
	for _, text := range []string{carried, "", "nonsense"} {
		ctx, job := Start(Continue(stream, text), "job")
		_, part := Start(ctx, "part")
		part.End(nil)
		job.End(nil)
	}
	s.End(nil)
	ended := spans.Ended() // request, then part and job of each, then stream
	require.Len(t, ended, 8)
	require.Equal(t, ended[0].SpanContext().SpanID(), ended[2].Parent().SpanID())
	for _, i := range []int{1, 2} {
		require.Equal(t, ended[0].SpanContext().TraceID(), ended[i].SpanContext().TraceID())
	}
	for _, i := range []int{3, 4, 5, 6} {
		require.Equal(t, ended[7].SpanContext().TraceID(), ended[i].SpanContext().TraceID())
	}
	// Where there is no provider nothing is made of it.
	ctx, s := Start(Continue(context.Background(), carried), "x")
	s.End(nil)
	require.Equal(t, carried, Carry(ctx), "but it is carried on")
	require.Len(t, spans.Ended(), 8)
}

func TestNotSampled(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	here, err := newTracing(t.Context(), Process{}, sdktrace.WithSpanProcessor(spans), sdktrace.WithSampler(sdktrace.NeverSample()))
	require.NoError(t, err)
	ctx, outer := Start(here.Root(t.Context()), "request")
	again, inner := Start(ctx, "part")
	require.Equal(t, ctx, again)
	inner.End(nil)
	outer.End(nil)
	require.Empty(t, spans.Ended())
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, s := Start(b.Context(), "x")
		s.End(nil)
	}
}
