// Package querier answers questions from all stores that hold a tenant's data.
//
// Alone, a process has the stores within itself: what its ingester holds and
// what the bucket has. All units come from one database then, each profile is in
// one of them, and the engine is asked at once (alone.go). Where units of several
// databases meet, and wherever processes are many, replicas are sorted out with
// package replica (replicas.go).
//
// # Asking many processes
//
// A question that sums goes to as many ingesters as are needed to miss nothing
// that was acknowledged (cluster.Ring.Readers), and to the store-gateways that the
// blocks lie on; any one of these says first which blocks there are, since each
// knows all of them. Ingesters that do not answer soon are helped
// out by the others, see hedging. Then it is settled what is taken from whom, and
// each is asked for its part. A store that fails at that, or hangs while the
// others are long done, is left out, and everything is asked anew without it,
// as often as the ring allows.
//
// # Invariants
//
//	Q1  an answer has every acknowledged profile once, or there is an error;
//	Q2  the ring is looked at before the bucket: who has left the ring by then
//	    has made sure before that store-gateways know its blocks;
//	Q3  when Ask returns, nothing of it runs in this process any more but calls
//	    that have been cancelled;
//	Q4  no question fails because a store takes long: one that seems to hang is
//	    left out once, and waited for if there is no answer without it. Who is
//	    really gone is found out by the calls (package rpc).
package querier

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// Reader answers questions of a tenant. It is the part of a Querier that
// depends on where the stores are.
type Reader interface {
	Read(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error)
}

// Querier answers questions. It is safe for concurrent use.
type Querier struct{ reader Reader }

// New returns a Querier that reads with r: an Alone, or Replicas.
func New(r Reader) *Querier { return &Querier{r} }

// Ask implements question.Asker.
func (q *Querier) Ask(ctx context.Context, what *question.Question) (*question.Answer, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	return q.reader.Read(ctx, id, what)
}

var _ question.Asker = (*Querier)(nil)

// Engine is what a process needs to answer over its own units, once for all
// roles.
type Engine struct {
	*query.Engine
	*replica.Digester
}

// NewEngine returns an engine that remembers nothing yet.
func NewEngine(cfg Config) Engine {
	return Engine{query.NewEngine(cfg.limits()), replica.NewDigester(cfg.digestBytes())}
}

// Deps are what a reader reports to.
type Deps struct {
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}
