package scheduler

import (
	"container/list"
	"context"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// worker is one of a querier's, which works on one query at a time.
type worker struct {
	s       *Scheduler
	querier string

	// Guarded by Scheduler.mu.
	given  chan *question.Task // holds one that was given out
	free   *list.Element       // in Scheduler.free; nil when it does not wait
	query  *query              // that it works on
	closed bool
}

// Connect adds a worker of a querier.
func (s *Scheduler) Connect(querier string) question.Worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics.workers.Inc()
	s.mu.slots[querier]++
	clear(s.mu.shards)
	s.dispatch() // tenants may have room for one more now (Q2)
	return &worker{s: s, querier: querier, given: make(chan *question.Task, 1)}
}

// Next waits for a query.
func (w *worker) Next(ctx context.Context) (*question.Task, error) {
	if err := w.wait(); err != nil {
		return nil, err
	}
	select {
	case t := <-w.given:
		return t, nil
	case <-ctx.Done():
	case <-w.s.stopped:
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.free != nil {
		w.s.mu.free.Remove(w.free)
		w.free = nil
	}
	select {
	case t := <-w.given: // in the meantime
		return t, nil
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, stopping()
}

func (w *worker) wait() error {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case w.closed:
		return fault.New(fault.Unavailable, "the worker is closed")
	case w.query != nil || w.free != nil:
		return fault.New(fault.Invalid, "the worker is not finished with its query")
	}
	w.free = s.mu.free.PushBack(w)
	s.dispatch()
	return nil
}

// Close removes the worker. What it works on is queued again (Q5).
func (w *worker) Close() {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	if w.free != nil {
		s.mu.free.Remove(w.free)
		w.free = nil
	}
	s.metrics.workers.Dec()
	if s.mu.slots[w.querier]--; s.mu.slots[w.querier] == 0 {
		delete(s.mu.slots, w.querier)
	}
	if len(s.mu.slots) == 0 {
		s.mu.lonely = s.now()
	}
	clear(s.mu.shards)
	if q := w.query; q != nil {
		w.release()
		s.again(q)
	}
	s.dispatch()
}

// again queues a query whose worker has gone.
func (s *Scheduler) again(q *query) {
	switch {
	case q.ctx.Err() != nil: // nobody waits
	case q.tries >= mostTries:
		s.metrics.discarded.WithLabelValues(reasonQueriers).Inc()
		s.answer(q, nil, fault.Reason(fault.Unavailable, reasonQueriers, "the querier went away while it worked on the query; so did those that had tried it before, %d in all", q.tries))
	default:
		s.metrics.requeued.Inc()
		s.mu.tenants[q.tenant.id] = q.tenant
		s.queue(q, true)
	}
}

// release takes the query from the worker.
func (w *worker) release() {
	q := w.query
	w.query, q.worker = nil, nil
	if busy := w.s.mu.busy[w.querier]; len(busy) > 1 {
		delete(busy, q)
	} else {
		delete(w.s.mu.busy, w.querier)
	}
	q.tenant.running--
	w.s.metrics.running.Dec()
	w.s.forget(q.tenant)
}

// finish is the answer of a worker to a query. If it comes after the worker was
// closed, somebody else answers.
func (w *worker) finish(q *query, answer any, err error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.query != q {
		return
	}
	w.release()
	s.answer(q, answer, err)
	s.dispatch()
}

// dispatch gives queries to workers that are free, as far as it goes.
func (s *Scheduler) dispatch() {
	for e := s.mu.free.Front(); e != nil; {
		w := e.Value.(*worker)
		next := e.Next()
		if q := s.nextFor(w); q != nil {
			s.give(w, q)
		}
		e = next
	}
}

// nextFor returns what w should work on, or nil.
func (s *Scheduler) nextFor(w *worker) *query {
	for e := s.mu.turn.Front(); e != nil; e = e.Next() {
		t := e.Value.(*tenantQueue)
		sh := s.shard(t.id)
		if sh.has(w.querier) && t.running < s.most(sh) && !s.holds(t, w) {
			return t.waiting.Front().Value.(*query)
		}
	}
	return nil
}

// yield is how long a tenant that has many queries keeps off a querier for the
// sake of another's only one (Q3).
const yield = 100 * time.Millisecond

// holds reports whether a tenant's query has to wait although w is free (Q3).
func (s *Scheduler) holds(t *tenantQueue, w *worker) bool {
	if s.oneTenant || t.waiting.Len()+t.running < 2 {
		return false
	}
	for q := range s.mu.busy[w.querier] {
		alone := q.tenant != t && q.tenant.turn == nil && q.tenant.running == 1
		if left := yield - s.now().Sub(q.given); alone && left > 0 {
			s.wake(left)
			return true
		}
	}
	return false
}

// wake looks after a while whether queries that were held can be given out.
func (s *Scheduler) wake(after time.Duration) {
	if s.mu.waking {
		return
	}
	s.mu.waking = true
	time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mu.waking = false
		s.dispatch()
	})
}

// most is how many workers a tenant may have at once (Q2).
func (s *Scheduler) most(sh shard) int {
	if s.oneTenant {
		return sh.workers
	}
	return max(1, sh.workers-1)
}

// give hands a query to a worker; its tenant's turn is over.
func (s *Scheduler) give(w *worker, q *query) {
	t := q.tenant
	t.running++ // first, so that the tenant is not forgotten
	s.mu.clock++
	t.served = s.mu.clock
	s.unqueue(q)
	if t.turn != nil {
		s.mu.turn.MoveToBack(t.turn)
	}
	s.mu.free.Remove(w.free)
	w.free = nil
	w.query, q.worker = q, w
	if s.mu.busy[w.querier] == nil {
		s.mu.busy[w.querier] = queries{}
	}
	s.mu.busy[w.querier][q] = struct{}{}
	q.tries++
	q.given = s.now()
	q.wait.End(nil) // of several tries the first
	s.metrics.running.Inc()
	s.metrics.wait.Observe(q.given.Sub(q.queued).Seconds())
	w.given <- &question.Task{Context: q.ctx, Tenant: t.id, Payload: q.payload, Finish: func(answer any, err error) { w.finish(q, answer, err) }}
}
