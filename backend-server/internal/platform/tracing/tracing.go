package tracing

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Scope is what instrumentation calls itself.
const Scope = "github.com/hearth-profiles/hearth"

// Config says whether there is tracing.
type Config struct {
	Enabled bool
}

// RegisterFlags declares the flags of tracing, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.BoolVar(&c.Enabled, "tracing.enabled", true, "Send spans to the endpoint in the environment variable OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT), if it is set. The other variables of OpenTelemetry, as OTEL_TRACES_SAMPLER, count too.")
}

// Process is what spans say of where they come from. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES win.
type Process struct {
	Version  string
	Instance string // name in the cluster
}

// Tracing sends spans. A nil Tracing makes none.
type Tracing struct {
	provider *sdktrace.TracerProvider
}

// New returns what sends spans to the endpoint of the environment, or nil if
// there is none or tracing is off. getenv is os.Getenv; OpenTelemetry asks for
// the rest by itself. The caller must Shutdown it.
func New(ctx context.Context, cfg Config, from Process, logger *slog.Logger, getenv func(string) string) (*Tracing, error) {
	if !cfg.Enabled || off(getenv) {
		return nil, nil
	}
	exporter, err := export(ctx, getenv)
	if err != nil {
		return nil, fmt.Errorf("tracing (OTEL_EXPORTER_OTLP_…): %w", err)
	}
	// Spans that cannot be sent are reported to a handler that is global.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("tracing", "err", err) }))
	return newTracing(ctx, from, sdktrace.WithBatcher(exporter))
}

func newTracing(ctx context.Context, from Process, opts ...sdktrace.TracerProviderOption) (*Tracing, error) {
	own, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "hearth"),
			attribute.String("service.version", from.Version),
			attribute.String("service.instance.id", from.Instance),
		),
		resource.WithTelemetrySDK(), resource.WithFromEnv(),
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("tracing (OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	return &Tracing{sdktrace.NewTracerProvider(append(opts, sdktrace.WithResource(own))...)}, nil
}

// off reports whether the environment wants no spans.
func off(getenv func(string) string) bool {
	return first(getenv, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") == "" ||
		strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none"
}

func first(getenv func(string) string, names ...string) string {
	for _, name := range names {
		if v := getenv(name); v != "" {
			return v
		}
	}
	return ""
}

func export(ctx context.Context, getenv func(string) string) (*otlptrace.Exporter, error) {
	switch p := first(getenv, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); p {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, config.Problem("OTEL_EXPORTER_OTLP_PROTOCOL", p, "grpc or http/protobuf")
	}
}

// Provider returns what makes spans, or nil without tracing.
func (t *Tracing) Provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// Shutdown sends the spans that are left, until ctx ends.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Root returns a context in which Start begins traces, for work that no request
// has asked for.
func (t *Tracing) Root(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, from{trace.SpanFromContext(context.Background()), t.provider})
}
