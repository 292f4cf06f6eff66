package replicate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// Conns has a connection to each process; *rpc.Pool does. Their codec must know
// what rpc.Written is.
type Conns interface {
	Member(id, addr string) (grpc.ClientConnInterface, error)
}

// maxWaiting is how many bytes may wait for the answer of one ingester before
// further pushes to it are refused; the last one may exceed it.
const maxWaiting = 32 << 20

// Client pushes to ingesters of other processes. It may be used by many
// goroutines.
type Client struct {
	conns   Conns
	logger  *slog.Logger
	metrics *clientMetrics
	limit   int // maxWaiting, but for tests
	buffers rpc.Buffers

	ctx    context.Context // of all streams
	cancel context.CancelFunc
	// running counts the goroutines of streams.
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	peers  map[target]*peer
}

// NewClient returns a client without streams. The caller must Close it.
func NewClient(conns Conns, reg prometheus.Registerer, logger *slog.Logger) *Client {
	c := &Client{conns: conns, logger: logger, limit: maxWaiting, peers: map[target]*peer{}}
	c.metrics = newClientMetrics(reg)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Push sends the records of batch with these indices, which ascend, to the
// ingester with this ID and Addr and waits for its answer, no longer than ctx. It
// returns nil, or an error or nil for each of items; what has no error is
// durable there. When it returns the batch is not needed any more.
func (c *Client) Push(ctx context.Context, to *cluster.Peer, tenantID string, batch *flat.Batch, items []int) []error {
	start := time.Now()
	errs, err := c.push(ctx, target{to.Id, to.Addr}, tenantID, batch, items)
	if err != nil {
		errs = slices.Repeat([]error{err}, len(items))
	}
	c.metrics.duration.WithLabelValues(outcomeOf(ctx, errs, err)).Observe(time.Since(start).Seconds())
	return errs
}

func (c *Client) push(ctx context.Context, to target, tenantID string, batch *flat.Batch, items []int) ([]error, error) {
	size := batch.MessageSize(items)
	s, err := c.enter(to, size)
	if err != nil {
		return nil, err
	}
	defer c.leave(s.peer, size)
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(defaultTimeout)
	}
	call := &call{records: len(items), start: time.Now(), done: make(chan struct{})}
	if err := s.send(call, tenantID, time.Until(deadline), tracing.Carry(ctx), c.message(batch, items, size)); err != nil {
		return nil, err
	}
	select {
	case <-call.done:
		return call.errs, call.err
	case <-ctx.Done():
		s.giveUp(call, errors.Is(ctx.Err(), context.DeadlineExceeded))
		return nil, fault.New(fault.Unavailable, "no answer from the ingester at %s in %s: %w", to.addr, time.Since(call.start).Round(time.Millisecond), context.Cause(ctx))
	}
}

// message puts together what one ingester is sent.
func (c *Client) message(batch *flat.Batch, items []int, size int) mem.Buffer {
	b := c.buffers.Get(size)
	*b = batch.Append((*b)[:0], items)
	return mem.NewBuffer(b, &c.buffers)
}

// enter books bytes for a peer and returns the stream to it (S1).
func (c *Client) enter(to target, size int) (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fault.New(fault.Unavailable, "the process is stopping")
	}
	p := c.peers[to]
	if p == nil {
		c.forget()
		p = &peer{target: to}
		c.peers[to] = p
	}
	if p.waiting >= c.limit {
		return nil, fault.New(fault.Unavailable, "the ingester at %s does not keep up: %d bytes wait for its answer; limit %d", to.addr, p.waiting, c.limit)
	}
	if p.current == nil {
		if rest := time.Until(p.notBefore); rest > 0 {
			return nil, fault.New(fault.Unavailable, "the ingester at %s is tried again in %s: %w", to.addr, rest.Round(time.Millisecond), p.lastErr)
		}
		p.current = c.open(p)
	}
	p.waiting += size
	c.metrics.waiting.Add(float64(size))
	return p.current, nil
}

func (c *Client) leave(p *peer, size int) {
	c.mu.Lock()
	p.waiting -= size
	c.mu.Unlock()
	c.metrics.waiting.Sub(float64(size))
}

// Pauses after a stream has failed: the first, and the longest.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 3 * time.Second
)

// forgetAfter is how long the failure of a peer is remembered.
const forgetAfter = time.Minute

// forget drops peers that have been gone for long; in some installations
// addresses do not come back. The caller holds c.mu.
func (c *Client) forget() {
	for to, p := range c.peers {
		if p.current == nil && p.waiting == 0 && time.Since(p.notBefore) > forgetAfter {
			delete(c.peers, to)
		}
	}
}

// broken takes a stream that has ended out of use. answered says whether it has
// brought any answer.
func (c *Client) broken(s *stream, err error, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := s.peer
	if p.current != s {
		return
	}
	p.current, p.lastErr = nil, err
	if p.pause = min(2*p.pause, lastPause); p.pause == 0 || answered {
		p.pause = firstPause
	}
	p.notBefore = time.Now().Add(p.pause)
	if !c.closed {
		c.logger.Warn("stream to ingester broken", "address", p.addr, "error", err, "pause", p.pause)
	}
}

// Close ends all streams; what waits for an answer fails. It returns when no
// goroutine of the client runs any more.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	return nil
}

// target is the name and address of an ingester.
type target struct{ id, addr string }

// peer is one ingester.
type peer struct {
	target

	// What follows belongs to Client.mu.
	current   *stream // nil before the first push and after a failure
	waiting   int     // bytes
	pause     time.Duration
	notBefore time.Time // of the next stream
	lastErr   error
}
