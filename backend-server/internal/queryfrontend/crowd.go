package queryfrontend

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// A query-scheduler takes so many questions of a tenant, parts of questions
// among them. A dashboard of ten panels over a month is ten questions and more
// than a thousand parts; to a client it is ten queries, none of which is one too
// many (F5). So of each question one part goes at once, and if there is no room
// for that, the question is refused. The others share a few places, and wait
// where the queue is full.

// placesFor is for how many questions a tenant has places, if each asks as many
// parts at once as it may. By default that is fewer than half of what a
// scheduler takes: there may be two frontends.
const placesFor = 3

// crowd is the tenants whose questions have parts.
type crowd struct {
	places  int64 // of a tenant
	mu      sync.Mutex
	tenants map[string]*shared
}

// shared is what a tenant's questions share.
type shared struct {
	users  int // guarded by crowd.mu
	places *semaphore.Weighted
}

func newCrowd(parallelism int) *crowd {
	return &crowd{places: placesFor * int64(parallelism), tenants: map[string]*shared{}}
}

// enter returns what the parts of one question need; leave must be called when
// they are answered.
func (c *crowd) enter(tenantID string) *siblings {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tenants[tenantID]
	if t == nil {
		t = &shared{places: semaphore.NewWeighted(c.places)}
		c.tenants[tenantID] = t
	}
	t.users++
	return &siblings{places: t.places}
}

func (c *crowd) leave(tenantID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tenants[tenantID]; t.users > 1 {
		t.users--
	} else {
		delete(c.tenants, tenantID)
	}
}

// siblings are the parts of one question.
type siblings struct {
	places   *semaphore.Weighted
	asked    atomic.Int64 // that are on their way
	answered atomic.Bool  // one of them was
}

// crowded is how long a part waits at the most before it is put into a queue
// again that was full.
const crowded = 250 * time.Millisecond

// ask asks for a part, which may need a place, again and again while there are
// too many questions of the tenant and others of the siblings are on their way
// or were answered.
func (s *siblings) ask(ctx context.Context, place bool, ask func() (*question.Answer, error)) (*question.Answer, error) {
	if place {
		if err := s.places.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer s.places.Release(1)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.asked.Add(1)
		a, err := ask()
		if err == nil {
			s.answered.Store(true)
		}
		others := s.asked.Add(-1) > 0
		if fault.ReasonOf(err) != question.ReasonTooMany || !others && !s.answered.Load() {
			return a, err
		}
		again := time.NewTimer(crowded/2 + rand.N(crowded/2))
		select {
		case <-ctx.Done():
			again.Stop()
			return nil, err
		case <-again.C:
		}
	}
}
