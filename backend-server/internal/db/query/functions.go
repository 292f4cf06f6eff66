package query

import (
	"context"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// FunctionSums is what a selection adds up to, by function.
type FunctionSums struct {
	Total     int64 // of all samples, those without any frame included
	Saturated bool  // a sum was clipped at the largest 64-bit value
	// Functions are those with a value, by total, then by self, largest first,
	// then by name.
	Functions []tree.Function
}

// Functions sums what sel selects by function: what was sampled in it, and what
// was sampled in it or below. A sample counts once for a function, however often
// its stack passes through it; inlined calls are calls. The sums are exact, for
// they are made from whole stacks and never from a tree that was cut.
func (e *Engine) Functions(ctx context.Context, tenant string, qs []Queryable, sel Selection) (*FunctionSums, error) {
	t, err := e.Tree(ctx, tenant, qs, sel)
	if err != nil {
		return nil, err
	}
	out := &FunctionSums{Total: t.Total(), Functions: t.Functions()}
	out.Saturated = t.Saturated
	return out, nil
}

// Functions answers one question with an Engine that is new.
func Functions(ctx context.Context, qs []Queryable, sel Selection) (*FunctionSums, error) {
	return NewEngine(Limits{}).Functions(ctx, "", qs, sel)
}
