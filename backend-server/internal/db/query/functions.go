package query

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// FunctionSums is what a selection adds up to, by function.
type FunctionSums struct {
	Total     int64 // of all samples, those without any frame included
	Saturated bool  // a sum was held at the largest 64-bit value
	// Functions are those with a value, by total, then by self, largest first,
	// then by name.
	Functions []tree.Function
}

// TopFunctions is FunctionSums cut to the largest functions, with what the
// others add up to.
type TopFunctions struct {
	FunctionSums
	RestFunctions int
	RestSelf      int64
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
	out.Saturated = t.Saturated // which summing may have set
	return out, nil
}

// Functions answers one question with an Engine that is new.
func Functions(ctx context.Context, qs []Queryable, sel Selection) (*FunctionSums, error) {
	return NewEngine(Limits{}).Functions(ctx, "", qs, sel)
}

// Top returns the n functions with the largest totals, or own values if bySelf,
// in that order.
func (s *FunctionSums) Top(n int, bySelf bool) *TopFunctions {
	out := &TopFunctions{FunctionSums: *s}
	if bySelf {
		out.Functions = slices.Clone(s.Functions)
		slices.SortFunc(out.Functions, func(a, b tree.Function) int {
			return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(b.Total, a.Total), strings.Compare(a.Name, b.Name))
		})
	}
	n = min(n, len(out.Functions))
	for _, f := range out.Functions[n:] {
		out.RestFunctions++
		out.RestSelf += f.Self // a part of the total, so it fits
	}
	out.Functions = out.Functions[:n]
	return out
}
