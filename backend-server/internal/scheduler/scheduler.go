package scheduler

import (
	"container/list"
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// Scheduler is the role. It is a service: stopping waits for the queries that
// it has. It is safe for concurrent use.
type Scheduler struct {
	services.Service

	cfg       Config
	oneTenant bool
	logger    *slog.Logger
	now       func() time.Time
	metrics   *metrics
	stopped   chan struct{} // closed when nothing is given out any more

	// mu guards all that follows, of tenants, queries and workers too. It is
	// held for a few steps only, never while anybody is waited for.
	mu struct {
		sync.Mutex
		tenants  map[string]*tenantQueue // that have queries
		turn     *list.List              // of *tenantQueue with queries that wait, by served
		served   map[string]uint64       // of tenants without queries, as long as others wait
		clock    uint64                  // queries given out so far
		free     *list.List              // of *worker that wait for a query, the longest first
		slots    map[string]int          // workers by querier
		lonely   time.Time               // since when there are no workers, if there are none
		busy     map[string]queries      // by querier: what its workers have
		waking   bool                    // there is a timer for queries that are held
		shards   map[string]shard        // by tenant; forgotten when queriers come or go
		open     int                     // queries not answered
		stopping bool
		idle     chan struct{} // closed when nothing is open while stopping
	}
}

// Deps is what a Scheduler needs of its process.
type Deps struct {
	// OneTenant says that there is one tenant only, for whose sake no worker
	// has to be kept free.
	OneTenant  bool
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time
}

// New returns a Scheduler without queries and workers. It works before it is
// started.
func New(cfg Config, deps Deps) *Scheduler {
	s := &Scheduler{
		cfg: cfg, oneTenant: deps.OneTenant, logger: deps.Logger, now: deps.Now,
		metrics: newMetrics(deps.Registerer), stopped: make(chan struct{}),
	}
	s.mu.tenants, s.mu.served = map[string]*tenantQueue{}, map[string]uint64{}
	s.mu.turn, s.mu.free = list.New(), list.New()
	s.mu.slots, s.mu.shards, s.mu.busy = map[string]int{}, map[string]shard{}, map[string]queries{}
	s.mu.idle, s.mu.lonely = make(chan struct{}), deps.Now()
	s.Service = services.NewIdleService(nil, func(error) error { s.drain(); return nil }).WithName("query-scheduler")
	return s
}

var _ question.Queue = (*Scheduler)(nil)

// tenantQueue is what there is of a tenant.
type tenantQueue struct {
	id      string
	waiting *list.List    // of *query
	turn    *list.Element // in Scheduler.turn; nil if nothing waits
	running int           // queries that workers have
	served  uint64        // Scheduler.clock when a worker last took a query
}

// query is a question on its way.
type query struct {
	tenant  *tenantQueue
	payload any
	ctx     context.Context // the asker's; handed to the worker
	queued  time.Time
	wait    tracing.Span
	given   time.Time
	tries   int
	place   *list.Element // in tenantQueue.waiting; nil when a worker has it
	worker  *worker       // that has it

	done   chan struct{} // closed when answer and err are there
	answer any
	err    error
}

// queries is a set of queries.
type queries map[*query]struct{}

// mostTries is how often a query is given to workers that go away with it.
const mostTries = 3

// Do queues a query and waits for the answer. When ctx ends it returns at once,
// and the query is gone from the queue.
func (s *Scheduler) Do(ctx context.Context, tenantID string, payload any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, wait := tracing.Start(ctx, "query-scheduler: wait")
	q := &query{payload: payload, ctx: ctx, queued: s.now(), wait: wait, done: make(chan struct{})}
	if err := s.enqueue(tenantID, q); err != nil {
		wait.End(err)
		return nil, err
	}
	look := time.NewTicker(querierPatience)
	defer look.Stop()
	for {
		select {
		case <-q.done:
			return q.answer, q.err
		case <-look.C:
			s.lookForWorkers(q)
		case <-ctx.Done():
			return s.gone(q)
		}
	}
}

// gone ends a query whose asker has gone, unless it was answered just now.
func (s *Scheduler) gone(q *query) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-q.done: // in the meantime
		return q.answer, q.err
	default:
	}
	if q.place != nil {
		s.discard(q, reasonGone, q.ctx.Err())
	}
	s.answer(q, nil, q.ctx.Err())
	return nil, q.ctx.Err()
}

// querierPatience is how long a query waits where no querier is connected. All
// of them may be starting anew; but if only this scheduler has none, another one
// can see to the query.
const querierPatience = 5 * time.Second

// lookForWorkers gives a query back that waits for nobody (Q7).
func (s *Scheduler) lookForWorkers(q *query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.place == nil || len(s.mu.slots) > 0 || s.now().Sub(s.mu.lonely) < querierPatience {
		return
	}
	err := fault.Reason(fault.Unavailable, reasonNoQueriers, "no querier is connected to this query-scheduler; the last one was %s ago", s.now().Sub(s.mu.lonely).Truncate(time.Second))
	s.discard(q, reasonNoQueriers, err)
}

// discard answers a query that waits with an error.
func (s *Scheduler) discard(q *query, reason string, err error) {
	s.unqueue(q)
	q.wait.End(err)
	s.metrics.discarded.WithLabelValues(reason).Inc()
	s.answer(q, nil, err)
}

func (s *Scheduler) enqueue(tenantID string, q *query) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopping {
		s.metrics.discarded.WithLabelValues(reasonStopping).Inc()
		return stopping()
	}
	t := s.mu.tenants[tenantID]
	if t == nil {
		t = &tenantQueue{id: tenantID, waiting: list.New(), served: s.mu.served[tenantID]}
	}
	if n := t.waiting.Len(); n >= s.cfg.MaxOutstanding {
		s.metrics.discarded.WithLabelValues(reasonTooMany).Inc()
		return &upload.RetryError{
			Err: fault.Reason(fault.Exhausted, reasonTooMany, "tenant %s has %d queries waiting; limit %d (-%s)", tenantID, n, s.cfg.MaxOutstanding, outstandingFlag),
			// What comes now would wait as long as the first in the queue has.
			After: min(max(s.now().Sub(t.waiting.Front().Value.(*query).queued), time.Second), mostPatience),
		}
	}
	s.mu.tenants[tenantID] = t
	s.mu.open++
	q.tenant = t
	s.queue(q, false)
	s.dispatch()
	return nil
}

// mostPatience is the longest that a client is told to wait.
const mostPatience = 30 * time.Second

func stopping() error {
	return fault.New(fault.Unavailable, "this query-scheduler is stopping")
}

// queue puts a query into its tenant's queue, at the end or in front.
func (s *Scheduler) queue(q *query, front bool) {
	t := q.tenant
	if front {
		q.place = t.waiting.PushFront(q)
	} else {
		q.place = t.waiting.PushBack(q)
	}
	if t.turn == nil {
		s.lineUp(t)
	}
	s.metrics.waiting.Inc()
}

// lineUp gives a tenant its place among those whose queries wait (Q1).
func (s *Scheduler) lineUp(t *tenantQueue) {
	before := s.mu.turn.Back()
	for before != nil && before.Value.(*tenantQueue).served > t.served {
		before = before.Prev()
	}
	if before == nil {
		t.turn = s.mu.turn.PushFront(t)
	} else {
		t.turn = s.mu.turn.InsertAfter(t, before)
	}
}

// unqueue takes a query out of its tenant's queue.
func (s *Scheduler) unqueue(q *query) {
	t := q.tenant
	t.waiting.Remove(q.place)
	q.place = nil
	if t.waiting.Len() == 0 {
		s.mu.turn.Remove(t.turn)
		t.turn = nil
	}
	s.metrics.waiting.Dec()
	s.forget(t)
}

// forget removes a tenant that has nothing any more. When it was served is kept
// only while it matters: while somebody waits who was served before.
func (s *Scheduler) forget(t *tenantQueue) {
	if t.turn != nil || t.running > 0 || s.mu.tenants[t.id] != t {
		return
	}
	delete(s.mu.tenants, t.id)
	if s.mu.turn.Len() == 0 {
		clear(s.mu.served)
		return
	}
	s.mu.served[t.id] = t.served
	if len(s.mu.served) > mostServed {
		first := s.mu.turn.Front().Value.(*tenantQueue).served
		maps.DeleteFunc(s.mu.served, func(_ string, served uint64) bool { return served <= first })
	}
}

// mostServed is of how many tenants without queries it is kept when they were
// served, before a look at which of them matter.
const mostServed = 1024

// answer ends the wait of the asker, if it still waits.
func (s *Scheduler) answer(q *query, answer any, err error) {
	select {
	case <-q.done:
		return
	default:
	}
	q.answer, q.err = answer, err
	close(q.done)
	s.mu.open--
	s.checkIdle()
}

func (s *Scheduler) checkIdle() {
	if s.mu.stopping && s.mu.open == 0 {
		select {
		case <-s.mu.idle:
		default:
			close(s.mu.idle)
		}
	}
}

// drainPatience is how long queries may take when the process stops.
const drainPatience = 30 * time.Second

// drain refuses new queries, waits for those that are there, and lets workers go.
func (s *Scheduler) drain() {
	s.mu.Lock()
	s.mu.stopping = true
	s.checkIdle()
	s.mu.Unlock()
	patience := time.NewTimer(drainPatience)
	defer patience.Stop()
	select {
	case <-s.mu.idle:
	case <-patience.C:
	}
	close(s.stopped)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.mu.tenants {
		for t.waiting.Len() > 0 {
			s.discard(t.waiting.Front().Value.(*query), reasonStopping, stopping())
		}
	}
}
