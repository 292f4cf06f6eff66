package job

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// slot is one worker, with a stream to one scheduler.
type slot struct {
	w     *Workers
	to    target
	quit  context.CancelFunc // ends it when it is done with its question
	last  atomic.Bool        // it does not connect again
	ended atomic.Bool
}

// Between attempts to reach a scheduler.
const (
	leastRetry = 100 * time.Millisecond
	mostRetry  = 2 * time.Second
	// farewell is how long a scheduler may take to hear that a worker leaves.
	farewell = 5 * time.Second
)

// run connects again and again until ctx ends.
func (s *slot) run(ctx context.Context) {
	defer s.ended.Store(true)
	pause := leastRetry
	for ctx.Err() == nil && !s.last.Load() {
		worked, err := s.connect(ctx)
		if err != nil && ctx.Err() == nil {
			s.w.deps.Logger.Debug("worker lost its query-scheduler", "address", s.to.addr, "err", err)
		}
		if worked {
			pause = leastRetry
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
		pause = min(2*pause, mostRetry)
	}
}

type workClient = grpc.BidiStreamingClient[hearthv1.WorkRequest, hearthv1.WorkResponse]

// connect works for the scheduler for as long as the stream lasts, or until ctx
// ends and nothing is left to do. It tells whether the scheduler said anything.
func (s *slot) connect(ctx context.Context) (worked bool, err error) {
	conn, err := s.w.deps.Pool.Member(s.to.id, s.to.addr)
	if err != nil {
		return false, err
	}
	// The stream outlives ctx: a question that is begun is finished (J4).
	streaming, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stream, err := hearthv1.NewQueueServiceClient(conn).Work(streaming)
	if err != nil {
		return false, err
	}
	hello := &hearthv1.WorkRequest{What: &hearthv1.WorkRequest_Hello{Hello: &hearthv1.Hello{Querier: s.w.deps.Querier}}}
	if err := stream.Send(hello); err != nil {
		return false, err
	}
	s.w.connected.Inc()
	defer s.w.connected.Dec()
	said := make(chan *hearthv1.WorkResponse)
	lost := make(chan error, 1)
	go listen(streaming, stream, said, lost)
	for {
		select {
		case m := <-said:
			worked = true
			if err := s.do(streaming, m, stream, said, lost); err != nil {
				return worked, err
			}
		case err := <-lost:
			return worked, err
		case <-ctx.Done():
			return worked, leave(stream, said, lost)
		}
		if ctx.Err() != nil {
			return worked, leave(stream, said, lost)
		}
	}
}

// listen passes on what the scheduler says, until the stream ends.
func listen(streaming context.Context, stream workClient, said chan<- *hearthv1.WorkResponse, lost chan<- error) {
	for {
		m, err := stream.Recv()
		if err != nil {
			lost <- err
			return
		}
		select {
		case said <- m:
		case <-streaming.Done():
			return
		}
	}
}

// leave tells the scheduler that nobody listens any more and waits until it has
// heard so. What it says in the meantime it will give to others.
func leave(stream workClient, said <-chan *hearthv1.WorkResponse, lost <-chan error) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	patience := time.NewTimer(farewell)
	defer patience.Stop()
	for {
		select {
		case <-said:
		case <-lost:
			return nil
		case <-patience.C:
			return nil
		}
	}
}

// do answers a question, and stops if it hears that nobody waits.
func (s *slot) do(streaming context.Context, m *hearthv1.WorkResponse, stream workClient, said <-chan *hearthv1.WorkResponse, lost <-chan error) error {
	switch what := m.GetWhat().(type) {
	case *hearthv1.WorkResponse_Cancel:
		return nil // it came too late
	case *hearthv1.WorkResponse_Task:
		ctx, cancel := context.WithCancel(streaming)
		defer cancel()
		answered := make(chan *hearthv1.AskResponse, 1)
		go func() { answered <- s.answer(ctx, what.Task) }()
		for {
			select {
			case answer := <-answered:
				return stream.Send(&hearthv1.WorkRequest{What: &hearthv1.WorkRequest_Done{Done: answer}})
			case <-said: // nothing else but that it is cancelled
				cancel()
			case err := <-lost:
				cancel()
				<-answered
				return err
			}
		}
	}
	return fault.New(fault.Unimplemented, "the querier does not know what the query-scheduler says (%T)", m.GetWhat())
}

func (s *slot) answer(ctx context.Context, t *hearthv1.Task) *hearthv1.AskResponse {
	s.w.running.Inc()
	defer s.w.running.Dec()
	if t.GetTimeoutNanos() > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(t.GetTimeoutNanos()))
		defer cancel()
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(t.GetTrace()))
	ctx, span := s.w.tracer.Start(ctx, "querier: answer")
	defer span.End()
	answer, err := s.ask(ctx, t)
	if err != nil {
		span.RecordError(err)
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			// Of somebody else's: the asker has not gone.
			err = fault.New(fault.Unavailable, "the query was given up: %v", err)
		}
		return failed(err)
	}
	return &hearthv1.AskResponse{Answer: answer}
}

func (s *slot) ask(ctx context.Context, t *hearthv1.Task) ([]byte, error) {
	if err := tenant.Validate(t.GetTenant()); err != nil {
		return nil, err
	}
	b, err := answerText(tenant.With(ctx, t.GetTenant()), t.GetQuestion(), s.w.asker)
	if len(b) > largestAnswer {
		return nil, tooLarge(len(b))
	}
	return b, rpc.ToFault(err)
}
