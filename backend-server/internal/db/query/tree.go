package query

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Tree merges what sel selects of a tenant's units into a call tree of function
// names. It is whole: nothing is cut here, for what a unit would leave out as
// small may add up to something large, and the numbers of what is shown must be
// exact.
func (e *Engine) Tree(ctx context.Context, tenant string, qs []Queryable, sel Selection) (*tree.Tree, error) {
	b := e.budget()
	sums := &treeSums{forest: e.forest(tenant), budget: b}
	sums.mu.services = map[string]*serviceSums{}
	if err := sumParts(ctx, qs, &sel, b, sums.add); err != nil {
		return nil, err
	}
	t, err := sums.merge(ctx)
	if err != nil || sel.CallSite == nil {
		return t, err
	}
	return t.FilterPrefix(sel.CallSite), nil
}

// treeSums are sums by node of the call trees of a tenant.
type treeSums struct {
	forest *forest
	budget *budget

	mu struct {
		sync.Mutex
		services map[string]*serviceSums
	}
}

// serviceSums are sums by node of the call tree of one service.
type serviceSums struct {
	calls *calls

	mu struct {
		sync.Mutex
		self      []int64
		saturated bool
	}
}

func (s *treeSums) service(name string) *serviceSums {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.mu.services[name]
	if out == nil {
		out = &serviceSums{calls: s.forest.service(name)}
		s.mu.services[name] = out
	}
	return out
}

// add adds the sums of one part to those of its service.
func (s *treeSums) add(ctx context.Context, p *part, sums *stackSums) error {
	defer sums.release()
	service := s.service(p.service)
	places, err := service.calls.place(ctx, sums.table)
	if err != nil {
		return err
	}
	return service.add(places, sums, s.budget)
}

func (s *serviceSums) add(places []tree.NodeID, sums *stackSums, b *budget) error {
	values := sums.values()
	last := tree.Root
	for stack, v := range values {
		if v != 0 {
			last = max(last, places[stack])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if more := int(last) + 1 - len(s.mu.self); more > 0 {
		if err := b.take(int64(more) * bytesPerSum); err != nil {
			return err
		}
		s.mu.self = widened(s.mu.self, more)
	}
	self := s.mu.self
	saturated := sums.saturated
	for stack, v := range values {
		if v != 0 {
			sum, clipped := profile.AddSaturating(self[places[stack]], v)
			self[places[stack]] = sum
			saturated = saturated || clipped
		}
	}
	s.mu.saturated = s.mu.saturated || saturated
	return nil
}

// merge returns the tree of all services. Nothing may be added any more.
func (s *treeSums) merge(ctx context.Context) (*tree.Tree, error) {
	var out *tree.Tree
	for _, name := range slices.Sorted(maps.Keys(s.mu.services)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		service := s.mu.services[name]
		shape, before := service.calls.shape(), int64(0)
		if out == nil {
			out = shape.Part(service.mu.self)
		} else {
			before = out.Bytes()
			out.MergePart(shape, service.mu.self)
		}
		out.Saturated = out.Saturated || service.mu.saturated
		recycle(service.mu.self)
		service.mu.self = nil
		if err := s.budget.take(out.Bytes() - before); err != nil {
			return nil, err
		}
	}
	if out == nil {
		return tree.NewIn(s.forest.names), nil
	}
	return out, nil
}
