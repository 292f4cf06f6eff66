package rpc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Pool keeps a connection to each process that was called. It may be used by
// many goroutines.
type Pool struct {
	logger  *slog.Logger
	options options
	creds   credentials.TransportCredentials
	metrics *metrics
	cuts    prometheus.Counter
	clock   clock
	codec   codec
	// When a connection counts as dead; tests have less patience.
	quietAfter, answerWithin time.Duration

	ctx      context.Context // of the watch
	cancel   context.CancelFunc
	watching sync.WaitGroup

	mu      sync.Mutex
	peers   map[string]*peer
	watched bool
	closed  bool
}

// peer is one process that was called.
type peer struct {
	addr     string
	identity *identity // of this process, as the others know it
	conn     *grpc.ClientConn
	calls    atomic.Int64 // that have not ended

	mu   sync.Mutex
	wire *wire // the connection, as it is now; nil before there is one
}

// NewPool returns a pool without connections. The caller must Close it.
func NewPool(cfg Config, reg prometheus.Registerer, logger *slog.Logger, opts ...Option) (*Pool, error) {
	m := newMetrics(reg, "client")
	files, err := cfg.open(logger, m.reloads.Inc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{
		logger: logger, options: apply(opts), creds: clientCredentials(files, cfg.TLSServerName), metrics: m, clock: newClock(), codec: newCodec(),
		cuts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hearth_rpc_connections_cut_total", Help: "Connections that were cut because the process at their other end gave no sign of life.",
		}),
		quietAfter: quietAfter, answerWithin: answerWithin, ctx: ctx, cancel: cancel, peers: map[string]*peer{},
	}
	reg.MustRegister(p.cuts)
	return p, nil
}

// Conn returns the connection to an address (host:port). It does not wait for
// it to be up, and never fails because the process is down: calls do. The pool
// keeps it; ask for it before each call or stream, since Retain may close it.
func (p *Pool) Conn(addr string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fault.New(fault.Unavailable, "the process is stopping")
	}
	if to := p.peers[addr]; to != nil {
		return to.conn, nil
	}
	to := &peer{addr: addr, identity: p.options.identity}
	var err error
	// passthrough: the name is looked up at each attempt, not cached.
	if to.conn, err = grpc.NewClient("passthrough:///"+addr, p.dialOptions(to)...); err != nil {
		return nil, fault.New(fault.Unavailable, "process at %s: %w", addr, err)
	}
	if !p.watched {
		p.watched = true
		p.watching.Go(p.watch)
	}
	p.peers[addr] = to
	return to.conn, nil
}

// dialOptions are tuned for few, large messages to processes that are near, and
// for noticing soon who is gone (P1).
func (p *Pool) dialOptions(to *peer) []grpc.DialOption {
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(p.creds),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return p.dial(ctx, to, addr) }),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: connectWithin,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: clientPing, Timeout: answerWithin, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage), grpc.ForceCodecV2(p.codec)),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithWriteBufferSize(buffer), grpc.WithReadBufferSize(buffer), grpc.WithSharedWriteBuffer(true),
		grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithStatsHandler(&counter{metrics: p.metrics, calls: func(n int64) { to.calls.Add(n) }}),
		grpc.WithChainUnaryInterceptor(to.unary), grpc.WithChainStreamInterceptor(to.stream),
	}
	if p.options.tracer != nil {
		opts = append(opts, grpc.WithStatsHandler(otelgrpc.NewClientHandler(p.options.spans()...)))
	}
	return opts
}

// Retain closes the connections to processes other than these, as soon as they
// have no calls: at this Retain or at a later one.
func (p *Pool) Retain(addrs []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, to := range p.peers {
		if to.calls.Load() == 0 && !slices.Contains(addrs, addr) {
			delete(p.peers, addr)
			_ = to.conn.Close()
		}
	}
}

// Close ends all connections and the calls on them.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var errs []error
	for _, to := range p.peers {
		errs = append(errs, to.conn.Close())
	}
	clear(p.peers)
	p.mu.Unlock()
	p.cancel()
	p.watching.Wait()
	return errors.Join(errs...)
}
