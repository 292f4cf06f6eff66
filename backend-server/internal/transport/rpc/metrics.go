package rpc

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// metrics of one side. Both sides have the same names, and a label.
type metrics struct {
	duration *prometheus.HistogramVec
	running  prometheus.Gauge
	reloads  prometheus.Counter // that failed
}

func newMetrics(reg prometheus.Registerer, side string) *metrics {
	labels := prometheus.Labels{"side": side}
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:        "hearth_rpc_request_duration_seconds",
			Help:        "Time that calls between processes take, streams until they end, by method and gRPC code.",
			Buckets:     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 60},
			ConstLabels: labels,
		}, []string{"method", "code"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hearth_rpc_inflight_requests", Help: "Calls between processes that have not ended.", ConstLabels: labels,
		}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_rpc_certificate_failures_total", ConstLabels: labels,
			Help: "Changed certificate files for calls between processes that could not be used; the last good ones stay.",
		}),
	}
	reg.MustRegister(m.duration, m.running, m.reloads)
	return m
}

// counter counts the calls of a server, or those to one process. It implements
// stats.Handler.
type counter struct {
	*metrics
	// calls, if not nil, is told of calls that begin (1) and end (-1).
	calls func(delta int64)
}

type methodKey struct{}

// TagRPC implements stats.Handler.
func (c *counter) TagRPC(ctx context.Context, i *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, i.FullMethodName)
}

// HandleRPC implements stats.Handler. A server does not see calls of methods
// that it does not have: strangers cannot invent label values.
func (c *counter) HandleRPC(ctx context.Context, s stats.RPCStats) {
	method, _ := ctx.Value(methodKey{}).(string)
	if method == probeMethod {
		return
	}
	switch s := s.(type) {
	case *stats.Begin:
		c.count(1)
	case *stats.End:
		c.count(-1)
		took := s.EndTime.Sub(s.BeginTime)
		c.duration.WithLabelValues(method, status.Code(s.Error).String()).Observe(max(0, took).Seconds())
	}
}

func (c *counter) count(delta int64) {
	c.running.Add(float64(delta))
	if c.calls != nil {
		c.calls(delta)
	}
}

// TagConn implements stats.Handler.
func (c *counter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (c *counter) HandleConn(context.Context, stats.ConnStats) {}
