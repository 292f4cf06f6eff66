package job

import (
	"context"
	"testing"

	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// BenchmarkAsk is what the way of a small question through a scheduler of
// another process costs, there and back.
func BenchmarkAsk(b *testing.B) {
	in := newInstallation(b)
	in.addScheduler()
	in.addQuerier("q", 2, func(context.Context, *question.Question) (*question.Answer, error) {
		return &question.Answer{Texts: []string{"answer"}}, nil
	})
	c := in.client()
	for b.Loop() {
		if _, err := c.Ask(anonymous(b.Context()), names); err != nil {
			b.Fatal(err)
		}
	}
}
