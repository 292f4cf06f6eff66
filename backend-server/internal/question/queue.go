package question

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Queue passes questions on from those who ask to those who answer. It does not
// look at them: one that was asked in the same process is a *Question, answered
// by an *Answer; one that came from another process is Sealed.
type Queue interface {
	// Do waits for an answer.
	Do(ctx context.Context, tenant string, payload any) (answer any, err error)
	// Connect adds a worker of a querier. Each works on one question at a time.
	Connect(querier string) Worker
}

// Sealed is a question that is still as it came from another process.
type Sealed interface {
	// Answer lets a answer it. What it returns is what the queue passes back.
	Answer(ctx context.Context, a Asker) (any, error)
}

// ReasonQueriersGone is the reason of an error that says that a question was
// given to several queriers and none came back. It may well be its fault, so it
// is not asked again.
const ReasonQueriersGone = "queriers_gone"

// ReasonTooMany is the reason of an error that says that too many questions of
// the tenant wait already.
const ReasonTooMany = "too_many_outstanding"

// Worker takes questions from a Queue.
type Worker interface {
	// Next waits for a question. The one before must be finished.
	Next(ctx context.Context) (*Task, error)
	// Close gives back a question that is not finished.
	Close()
}

// Task is a question that a worker was given.
type Task struct {
	// Context is that of the asker: it ends when nobody waits for the answer.
	Context context.Context
	Tenant  string
	Payload any
	// Finish must be called once, with the answer.
	Finish func(answer any, err error)
}

// Guarded returns an Asker that turns a panic of a into an error, which says
// nothing about where it was: that is logged. Questions come from outside, and
// one of them must not end the process that answers others too.
func Guarded(a Asker, logger *slog.Logger) Asker { return &guarded{a, logger} }

type guarded struct {
	Asker
	logger *slog.Logger
}

// Ask implements Asker.
func (g *guarded) Ask(ctx context.Context, q *Question) (_ *Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.logger.Error("a question made the process panic", "question", q.Kind.String(), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: the question made the server panic; its log has the details")
		}
	}()
	return g.Asker.Ask(ctx, q)
}
