package scheduler

import (
	"context"
	"fmt"
	"sync"

	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// Within one process questions and answers are passed on as they are. Those of
// other processes may be in the same queue.

// Ask queues a question of the context's tenant and waits for the answer.
func (s *Scheduler) Ask(ctx context.Context, q *question.Question) (*question.Answer, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := s.Do(ctx, id, q)
	if err != nil {
		return nil, err
	}
	return answer.(*question.Answer), nil
}

var _ question.Asker = (*Scheduler)(nil)

// localQuerier is the name of the querier in the same process.
const localQuerier = "local"

// Workers returns n workers in this process, which let asker answer. They are a
// service that ends when each has finished what it works on.
func (s *Scheduler) Workers(n int, asker question.Asker) services.Service {
	asker = question.Guarded(asker, s.logger)
	return services.NewBasicService(nil, func(ctx context.Context) error {
		var all sync.WaitGroup
		for range n {
			all.Go(func() { s.work(ctx, asker) })
		}
		all.Wait()
		return nil
	}, nil).WithName("query workers")
}

func (s *Scheduler) work(ctx context.Context, asker question.Asker) {
	w := s.Connect(localQuerier)
	defer w.Close()
	for {
		task, err := w.Next(ctx)
		if err != nil {
			return
		}
		task.Finish(answer(task, asker))
	}
}

func answer(task *question.Task, asker question.Asker) (_ any, err error) {
	ctx, span := tracing.Start(task.Context, "querier: answer")
	defer func() { span.End(err) }()
	switch q := task.Payload.(type) {
	case *question.Question:
		return asker.Ask(ctx, q)
	case question.Sealed:
		return q.Answer(ctx, asker)
	}
	return nil, fmt.Errorf("a question in the queue is %T, which nobody can answer", task.Payload)
}
