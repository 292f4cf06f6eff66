package job

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// Server serves a Queue to query-frontends and queriers.
type Server struct {
	hearthv1.UnimplementedQueueServiceServer
	queue question.Queue
}

// Register adds the service to a server.
func Register(s grpc.ServiceRegistrar, queue question.Queue) {
	hearthv1.RegisterQueueServiceServer(s, &Server{queue: queue})
}

// Ask queues a question.
func (s *Server) Ask(ctx context.Context, req *hearthv1.AskRequest) (*hearthv1.AskResponse, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := s.queue.Do(ctx, id, &sealed{req.GetQuestion()})
	if err != nil {
		return nil, err
	}
	return answer.(*hearthv1.AskResponse), nil
}

type workStream = grpc.BidiStreamingServer[hearthv1.WorkRequest, hearthv1.WorkResponse]

// Work gives questions to a worker until it goes away, or the queue ends.
func (s *Server) Work(stream workStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetHello().GetQuerier() == "" {
		return fault.New(fault.Invalid, "a worker began with %T; it must first say whose it is", first.GetWhat())
	}
	worker := s.queue.Connect(first.GetHello().GetQuerier())
	defer worker.Close()
	ctx, gone := context.WithCancel(stream.Context())
	defer gone()
	done := make(chan *hearthv1.AskResponse)
	go receive(ctx, gone, stream, done)
	for {
		task, err := worker.Next(ctx)
		if err != nil {
			return err
		}
		if err := pass(ctx, stream, task, done); err != nil {
			return err
		}
	}
}

// receive passes on the answers of a worker; gone is called when it goes away.
// It ends with the stream.
func receive(ctx context.Context, gone context.CancelFunc, stream workStream, done chan<- *hearthv1.AskResponse) {
	defer gone()
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		answer := m.GetDone()
		if answer == nil {
			answer = failed(fault.New(fault.Unimplemented, "the query-scheduler does not know what the querier says (%T)", m.GetWhat()))
		}
		select {
		case done <- answer:
		case <-ctx.Done():
			return
		}
	}
}

// pass gives a worker a question and waits for it to be done.
func pass(ctx context.Context, stream workStream, task *question.Task, done <-chan *hearthv1.AskResponse) error {
	text, finish, err := unseal(task)
	if err != nil {
		task.Finish(nil, err)
		return nil
	}
	m := &hearthv1.Task{Tenant: task.Tenant, Question: text, Trace: map[string]string{}}
	propagation.TraceContext{}.Inject(task.Context, propagation.MapCarrier(m.Trace))
	if deadline, ok := task.Context.Deadline(); ok {
		m.TimeoutNanos = max(1, int64(time.Until(deadline)))
	}
	if err := stream.Send(&hearthv1.WorkResponse{What: &hearthv1.WorkResponse_Task{Task: m}}); err != nil {
		return err
	}
	cancelled := task.Context.Done()
	for {
		select {
		case answer := <-done:
			finish(answer)
			return nil
		case <-cancelled:
			cancelled = nil // once
			if err := stream.Send(&hearthv1.WorkResponse{What: &hearthv1.WorkResponse_Cancel{Cancel: &hearthv1.Cancel{}}}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
