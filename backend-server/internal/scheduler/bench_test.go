package scheduler

import (
	"context"
	"testing"

	"github.com/grafana/dskit/services"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// BenchmarkAsk is what the queue costs a question of the same process.
func BenchmarkAsk(b *testing.B) {
	s := newScheduler(nil, true)
	answer := &question.Answer{}
	workers := s.Workers(2, asker(func(context.Context, *question.Question) (*question.Answer, error) { return answer, nil }))
	require.NoError(b, services.StartAndAwaitRunning(b.Context(), workers))
	ctx := tenant.With(context.Background(), "a")
	for b.Loop() {
		if _, err := s.Ask(ctx, &question.Question{}); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, services.StopAndAwaitTerminated(context.Background(), workers))
}
