package replicate

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// stream is one stream to an ingester, from its opening until its first error.
// One goroutine opens it and sends, another one receives.
type stream struct {
	client *Client
	peer   *peer
	cancel context.CancelFunc
	wake   chan struct{} // has room for one: there is something in the queue

	mu struct {
		sync.Mutex
		lastID   uint64
		queue    []queued
		pending  map[uint64]*call // by ID, queued or sent
		answered time.Time        // when the last answer came
		err      error            // why the stream has ended
	}
}

// queued is a push that is not with gRPC yet.
type queued struct {
	id  uint64
	out *outgoing
}

// call is a push that waits for its answer.
type call struct {
	id      uint64
	records int
	start   time.Time
	done    chan struct{} // closed when errs or err is set
	errs    []error
	err     error
}

// open starts a stream to p. The caller holds c.mu, and c is not closed.
func (c *Client) open(p *peer) *stream {
	ctx, cancel := context.WithCancel(c.ctx)
	s := &stream{client: c, peer: p, cancel: cancel, wake: make(chan struct{}, 1)}
	s.mu.pending = map[uint64]*call{}
	c.running.Go(func() { s.run(ctx) })
	return s
}

// run opens the stream, sends until it ends, and waits for the receiver.
func (s *stream) run(ctx context.Context) {
	var receiving sync.WaitGroup
	err := s.connect(ctx, func(wire grpc.ClientStream) error {
		receiving.Go(func() { s.end(s.receive(wire)) })
		return s.sendAll(ctx, wire)
	})
	if err != nil {
		s.end(err)
	}
	s.cancel()
	receiving.Wait()
}

func (s *stream) connect(ctx context.Context, use func(grpc.ClientStream) error) error {
	conn, err := s.client.conns.Member(s.peer.id, s.peer.addr)
	if err != nil {
		return err
	}
	wire, err := conn.NewStream(ctx, &hearthv1.Replication_ServiceDesc.Streams[0], hearthv1.Replication_Push_FullMethodName)
	if err != nil {
		return err
	}
	return use(wire)
}

// send queues a push. The memory of records is given away, also on error.
func (s *stream) send(c *call, tenantID string, timeout time.Duration, trace string, records mem.Buffer) error {
	s.mu.Lock()
	if err := s.mu.err; err != nil {
		s.mu.Unlock()
		records.Free()
		return err
	}
	s.mu.lastID++
	c.id = s.mu.lastID
	s.mu.pending[c.id] = c
	s.mu.queue = append(s.mu.queue, queued{c.id, newOutgoing(c.id, tenantID, int64(max(timeout, 1)), trace, records)})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// sendAll sends what is queued until the stream ends. It blocks while the other
// side does not read.
func (s *stream) sendAll(ctx context.Context, wire grpc.ClientStream) error {
	for {
		for q, ok := s.take(); ok; q, ok = s.take() {
			// gRPC frees the memory, whatever comes of it. The error is io.EOF
			// if the stream has ended; the receiver knows why.
			if err := wire.SendMsg(q.out); err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *stream) take() (queued, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.queue) == 0 {
		return queued{}, false
	}
	q := s.mu.queue[0]
	s.mu.queue = s.mu.queue[1:]
	return q, true
}

// receive hands answers to those who wait until the stream ends.
func (s *stream) receive(wire grpc.ClientStream) error {
	for {
		var answer hearthv1.PushResponse
		if err := wire.RecvMsg(&answer); err != nil {
			return err
		}
		s.mu.Lock()
		s.mu.answered = time.Now()
		c := s.mu.pending[answer.GetId()]
		delete(s.mu.pending, answer.GetId())
		s.mu.Unlock()
		if c != nil { // else it has waited too long
			c.errs, c.err = readAnswer(&answer, c.records)
			close(c.done)
		}
	}
}

// giveUp forgets a push whose caller has gone. If that is because there was no
// answer in time, and no other has come back meanwhile, it ends the stream (S2).
func (s *stream) giveUp(c *call, late bool) {
	s.mu.Lock()
	delete(s.mu.pending, c.id)
	if i := slices.IndexFunc(s.mu.queue, func(q queued) bool { return q.id == c.id }); i >= 0 {
		s.mu.queue[i].out.records.Free()
		s.mu.queue = slices.Delete(s.mu.queue, i, i+1)
	}
	stalled := late && s.mu.answered.Before(c.start)
	s.mu.Unlock()
	if stalled {
		s.end(fault.New(fault.Unavailable, "it has not answered for %s", time.Since(c.start).Round(time.Millisecond)))
	}
}

// end fails all that wait. Only the first error counts.
func (s *stream) end(err error) {
	s.mu.Lock()
	if s.mu.err != nil {
		s.mu.Unlock()
		return
	}
	err = rpc.ToFault(err)
	s.mu.err = fault.New(fault.Unavailable, "the stream to the ingester at %s is broken: %w", s.peer.addr, err)
	pending, queue, answered := s.mu.pending, s.mu.queue, !s.mu.answered.IsZero()
	s.mu.pending, s.mu.queue = map[uint64]*call{}, nil
	s.mu.Unlock()
	s.cancel()
	for _, q := range queue {
		q.out.records.Free()
	}
	for _, c := range pending {
		c.err = s.mu.err
		close(c.done)
	}
	s.client.broken(s, err, answered)
}
