package replica

import (
	"context"
	"sync"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// Store shows units to readers: those of an ingester, or blocks of the bucket.
type Store interface {
	// Open takes a snapshot of what a question that sums is about.
	Open(ctx context.Context, tenantID string, q *question.Question) (Session, error)
	// List answers a question that does not sum.
	List(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error)
}

// Session is an open snapshot. It can be used until the context that it was
// opened with ends or it is closed.
type Session interface {
	// Units returns what the snapshot shows.
	Units() []Unit
	// Rows returns the rows of entries, in their order.
	Rows(ctx context.Context, refs []Ref) ([][]Row, error)
	// Ask answers the question over what was chosen.
	Ask(ctx context.Context, picks []Pick) (*question.Answer, error)
	// Close lets go of the units, when calls that still run have returned; their
	// contexts should have ended. It may be called more than once.
	Close()
}

// View returns a tenant's units that may have what a question is about, and a
// function that must be called once to let go of them.
type View func(ctx context.Context, tenantID string, q *question.Question) ([]query.Queryable, func(), error)

// ByRange returns a View of a store that looks at the time only.
func ByRange(view func(ctx context.Context, tenantID string, r profile.TimeRange) ([]query.Queryable, func(), error)) View {
	return func(ctx context.Context, tenantID string, q *question.Question) ([]query.Queryable, func(), error) {
		return view(ctx, tenantID, q.Interval())
	}
}

// Local is a Store of this process.
type Local struct {
	view     View
	engine   *query.Engine
	digester *Digester
}

// NewLocal returns a store that shows the units of view.
func NewLocal(view View, e *query.Engine, d *Digester) *Local { return &Local{view, e, d} }

// Open implements Store.
func (l *Local) Open(ctx context.Context, tenantID string, q *question.Question) (Session, error) {
	units, release, err := l.view(ctx, tenantID, q)
	if err != nil {
		return nil, err
	}
	snapshot, err := l.digester.Take(ctx, q.Without.Over(units), Selection{Matchers: q.RowMatchers(), Range: q.Interval()})
	if err != nil {
		release()
		return nil, err
	}
	return &localSession{local: l, tenantID: tenantID, q: q, snapshot: snapshot, release: release}, nil
}

// List implements Store.
func (l *Local) List(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error) {
	units, release, err := l.view(ctx, tenantID, q)
	if err != nil {
		return nil, err
	}
	defer release()
	return question.Over(ctx, l.engine, tenantID, q.Without.Listed(units, q.Interval()), q)
}

var errClosed = fault.New(fault.Unavailable, "the session is closed")

type localSession struct {
	local    *Local
	tenantID string
	q        *question.Question
	snapshot *Snapshot

	mu      sync.RWMutex // held for reading by calls
	release func()       // nil once closed
}

// Units implements Session.
func (s *localSession) Units() []Unit { return s.snapshot.Units() }

// Rows implements Session.
func (s *localSession) Rows(ctx context.Context, refs []Ref) ([][]Row, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.release == nil {
		return nil, errClosed
	}
	return s.snapshot.Rows(ctx, refs)
}

// Ask implements Session.
func (s *localSession) Ask(ctx context.Context, picks []Pick) (*question.Answer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.release == nil {
		return nil, errClosed
	}
	units, err := s.snapshot.Pick(picks)
	if err != nil {
		return nil, err
	}
	return question.Over(ctx, s.local.engine, s.tenantID, units, s.q)
}

// Close implements Session.
func (s *localSession) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release != nil {
		s.release()
		s.release = nil
	}
}

var _ Store = (*Local)(nil)
