package db

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"sort"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// blockSet is the local blocks, found by ID and by time. It is guarded by
// DB.mu.
type blockSet struct {
	byID map[ulid.ULID]*localBlock
	// byStart are the blocks by the time of their first profile, and reach is,
	// for each, the latest time in it and all before it.
	byStart []*localBlock
	reach   []profile.UnixMilli
}

func (s *blockSet) add(blocks ...*localBlock) {
	for _, b := range blocks {
		s.byID[b.Meta().ID] = b
		s.byStart = append(s.byStart, b)
	}
	slices.SortStableFunc(s.byStart, func(a, b *localBlock) int { return cmp.Compare(a.Meta().MinTime, b.Meta().MinTime) })
	s.measure()
}

func (s *blockSet) remove(id ulid.ULID) {
	gone := s.byID[id]
	delete(s.byID, id)
	s.byStart = slices.DeleteFunc(s.byStart, func(b *localBlock) bool { return b == gone })
	s.measure()
}

func (s *blockSet) measure() {
	s.reach = slices.Grow(s.reach[:0], len(s.byStart))
	latest := profile.UnixMilli(math.MinInt64)
	for _, b := range s.byStart {
		latest = max(latest, b.Meta().MaxTime)
		s.reach = append(s.reach, latest)
	}
}

// overlapping returns the blocks that have profiles in r, or might have.
func (s *blockSet) overlapping(r profile.TimeRange) iter.Seq[*localBlock] {
	return func(yield func(*localBlock) bool) {
		end := sort.Search(len(s.byStart), func(i int) bool { return s.byStart[i].Meta().MinTime > r.End })
		for i := end - 1; i >= 0 && s.reach[i] >= r.Start; i-- {
			if s.byStart[i].TimeRange().Overlaps(r) && !yield(s.byStart[i]) {
				return
			}
		}
	}
}
