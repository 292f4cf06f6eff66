package rpc

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// probeMethod asks whether anybody is there. Any answer will do, also that of a
// process that does not know the method.
const probeMethod = healthv1.Health_Check_FullMethodName

const watchInterval = 500 * time.Millisecond

// clock is a clock that nobody can set, for what is compared with itself.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() time.Duration { return time.Since(c.start) }

// wire is a connection that knows when something has come in.
type wire struct {
	net.Conn
	clock  clock
	heard  atomic.Int64 // clock time of the last bytes
	asking atomic.Bool
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.heard.Store(int64(w.clock.now()))
	}
	return n, err
}

func (w *wire) quiet() time.Duration { return w.clock.now() - time.Duration(w.heard.Load()) }

// dial connects with a process.
func (p *Pool) dial(ctx context.Context, to *peer, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: c, clock: p.clock}
	w.heard.Store(int64(p.clock.now()))
	to.mu.Lock()
	to.wire = w
	to.mu.Unlock()
	return w, nil
}

// watch looks for connections on which calls wait for a process that gives no
// sign of life, until the pool is closed.
func (p *Pool) watch() {
	for quietly(p.ctx, watchInterval) == nil {
		p.mu.Lock()
		for _, to := range p.peers {
			to.mu.Lock()
			w := to.wire
			to.mu.Unlock()
			if w != nil && to.calls.Load() > 0 && w.quiet() >= p.quietAfter && w.asking.CompareAndSwap(false, true) {
				p.watching.Go(func() { p.probe(to, w) })
			}
		}
		p.mu.Unlock()
	}
}

// probe asks the process at the other end of w for a sign of life, and cuts w
// if there is none.
func (p *Pool) probe(to *peer, w *wire) {
	defer w.asking.Store(false)
	ctx, cancel := context.WithTimeout(p.ctx, p.answerWithin)
	defer cancel()
	begin := p.clock.now()
	_, err := healthv1.NewHealthClient(to.conn).Check(ctx, &healthv1.HealthCheckRequest{})
	if status.Code(err) != codes.DeadlineExceeded || time.Duration(w.heard.Load()) > begin {
		return
	}
	p.cuts.Inc()
	p.logger.Warn("a process gives no sign of life; the connection is cut", "address", to.addr, "quiet_for", w.quiet().Truncate(time.Millisecond))
	_ = w.Close()
}
