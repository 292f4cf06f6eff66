package job

import (
	"context"
	"fmt"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/asked"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// sealed is a question of another process. It is opened only where it is
// answered; to the scheduler it is bytes.
type sealed struct{ text []byte }

var _ question.Sealed = (*sealed)(nil)

// Answer implements question.Sealed: for workers in the scheduler's process.
func (s *sealed) Answer(ctx context.Context, a question.Asker) (any, error) {
	b, err := answerText(ctx, s.text, a)
	if err == nil && len(b) > largestAnswer {
		err = tooLarge(len(b))
	}
	if err != nil {
		return failed(err), nil
	}
	return &hearthv1.AskResponse{Answer: b}, nil
}

// largestAnswer is what fits into a message, with room for what is around it.
// A larger one would break the stream, and be tried again on another.
const largestAnswer = rpc.MaxMessage - 1<<10

func tooLarge(n int) error {
	return fault.Reason(fault.TooLarge, "answer_size", "the answer has %d bytes; limit %d: ask for a shorter time range or fewer series", n, largestAnswer)
}

// answerText answers a question for the tenant of the context.
func answerText(ctx context.Context, text []byte, a question.Asker) ([]byte, error) {
	q, err := asked.UnmarshalQuestion(text)
	if err != nil {
		return nil, err
	}
	answer, err := a.Ask(ctx, q)
	if err != nil {
		return nil, err
	}
	return asked.MarshalAnswer(q.Kind, answer)
}

// unseal returns the text of a question in the queue, and what is to be done
// with the answer: another process is sent it as it is, for this one it is read.
func unseal(task *question.Task) (text []byte, finish func(*hearthv1.AskResponse), err error) {
	switch q := task.Payload.(type) {
	case *sealed:
		return q.text, func(m *hearthv1.AskResponse) { task.Finish(m, nil) }, nil
	case *question.Question:
		text, err = asked.MarshalQuestion(q)
		return text, func(m *hearthv1.AskResponse) {
			if err := failure(m); err != nil {
				task.Finish(nil, err)
				return
			}
			answer, err := asked.UnmarshalAnswer(q, m.GetAnswer())
			task.Finish(answer, err)
		}, err
	}
	return nil, nil, fmt.Errorf("a question in the queue is %T and cannot be sent", task.Payload)
}
