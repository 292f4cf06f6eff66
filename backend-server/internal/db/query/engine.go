package query

import (
	"context"
	"sync"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Engine answers questions about samples. Between them it remembers how call
// trees look (see calls), and it holds each to a share of the memory. It is
// safe for concurrent use.
type Engine struct {
	limits Limits

	mu struct {
		sync.Mutex
		forests map[string]*forest // by tenant
	}
}

// Limits bound what an Engine holds in memory. 0 means no limit.
type Limits struct {
	QueryBytes int64 // of one question: sums, trees, and the symbols it uses
	CallBytes  int64 // of the call trees remembered, for all tenants
}

// NewEngine returns an Engine that remembers nothing yet.
func NewEngine(l Limits) *Engine {
	e := &Engine{limits: l}
	e.mu.forests = map[string]*forest{}
	return e
}

// forest is the call trees of a tenant, one a service. They share the numbers
// of their names, so that trees of several services are merged without looking
// at a text.
type forest struct {
	names *tree.Names

	mu struct {
		sync.Mutex
		services map[string]*calls
	}
}

// forest returns the call trees of a tenant. When all together take more than
// they may, they are forgotten: a question in progress keeps those it began
// with, the next one grows new ones, from the data that is asked about then.
func (e *Engine) forest(tenant string) *forest {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.limits.CallBytes > 0 {
		size := int64(0)
		for _, f := range e.mu.forests {
			size += f.bytes()
		}
		if size > e.limits.CallBytes {
			clear(e.mu.forests)
		}
	}
	f := e.mu.forests[tenant]
	if f == nil {
		f = &forest{names: tree.NewNames()}
		f.mu.services = map[string]*calls{}
		e.mu.forests[tenant] = f
	}
	return f
}

// service returns the call tree of a service.
func (f *forest) service(name string) *calls {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.mu.services[name]
	if c == nil {
		c = newCalls(f.names)
		f.mu.services[name] = c
	}
	return c
}

func (f *forest) bytes() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := f.names.Bytes()
	for _, c := range f.mu.services {
		size += c.bytes.Load()
	}
	return size
}

// Tree answers one question with an Engine that is new.
func Tree(ctx context.Context, qs []Queryable, sel Selection) (*tree.Tree, error) {
	return NewEngine(Limits{}).Tree(ctx, "", qs, sel)
}
