package ingester

import (
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// seen says since when blocks are known to be shown by those who read the
// bucket. The zero value knows of none.
type seen struct {
	mu     sync.Mutex
	blocks map[ulid.ULID]time.Time
}

// since returns that time, the zero time if it is not known.
func (s *seen) since(id ulid.ULID) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocks[id]
}

// first is since, where now is noted if nothing was before, or a time that is
// still to come.
func (s *seen) first(id ulid.ULID, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.blocks[id]; ok && !now.Before(t) {
		return t
	}
	if s.blocks == nil {
		s.blocks = map[ulid.ULID]time.Time{}
	}
	s.blocks[id] = now
	return now
}

func (s *seen) forget(id ulid.ULID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blocks, id)
}
