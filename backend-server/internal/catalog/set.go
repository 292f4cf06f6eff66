package catalog

import (
	"cmp"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
)

// Set is blocks of one tenant. It is not safe for concurrent use.
type Set struct {
	blocks map[ulid.ULID]*block.Meta
	jobs   map[ulid.ULID]*job
	// replaced counts the whole jobs that take a block's place.
	replaced map[ulid.ULID]int
}

// job is the blocks of one job that are known.
type job struct {
	shards map[int]ulid.ULID
	inputs []ulid.ULID // counted in replaced; nil while the job is not whole
}

// NewSet returns a set of some blocks.
func NewSet(blocks ...*block.Meta) *Set {
	s := &Set{blocks: map[ulid.ULID]*block.Meta{}, jobs: map[ulid.ULID]*job{}, replaced: map[ulid.ULID]int{}}
	for _, m := range blocks {
		s.Add(m)
	}
	return s
}

// Add adds a block. One that is there stays as it is.
func (s *Set) Add(m *block.Meta) {
	if s.blocks[m.ID] != nil {
		return
	}
	s.blocks[m.ID] = m
	c := m.Compaction
	if c == nil {
		return
	}
	j := s.jobs[c.Job]
	if j == nil {
		j = &job{shards: map[int]ulid.ULID{}}
		s.jobs[c.Job] = j
	}
	j.shards[c.Shard] = m.ID
	if len(j.shards) == c.Shards && j.inputs == nil {
		j.inputs = c.Inputs
		for _, id := range c.Inputs {
			s.replaced[id]++
		}
	}
}

// Remove takes a block out.
func (s *Set) Remove(id ulid.ULID) {
	m := s.blocks[id]
	if m == nil {
		return
	}
	delete(s.blocks, id)
	c := m.Compaction
	if c == nil {
		return
	}
	j := s.jobs[c.Job]
	for _, input := range j.inputs {
		if s.replaced[input]--; s.replaced[input] == 0 {
			delete(s.replaced, input)
		}
	}
	j.inputs = nil
	delete(j.shards, c.Shard)
	if len(j.shards) == 0 {
		delete(s.jobs, c.Job)
	}
}

// Get returns a block, or nil.
func (s *Set) Get(id ulid.ULID) *block.Meta { return s.blocks[id] }

// Len is the number of blocks.
func (s *Set) Len() int { return len(s.blocks) }

// All returns all blocks, by ID.
func (s *Set) All() []*block.Meta {
	return slices.SortedFunc(maps.Values(s.blocks), func(a, b *block.Meta) int { return a.ID.Compare(b.ID) })
}

// Replaced reports whether blocks of the set take the place of a block, which
// need not be in the set (K1).
func (s *Set) Replaced(id ulid.ULID) bool { return s.replaced[id] > 0 }

// Counting returns the blocks that count, by time.
func (s *Set) Counting() []*block.Meta {
	out := make([]*block.Meta, 0, len(s.blocks))
	for id, m := range s.blocks {
		if !s.Replaced(id) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *block.Meta) int { return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), a.ID.Compare(b.ID)) })
	return out
}

// Replacements returns blocks that take the place of a block: those of one whole
// job. It is nil if there are none.
func (s *Set) Replacements(id ulid.ULID) []*block.Meta {
	for _, jobID := range slices.SortedFunc(maps.Keys(s.jobs), ulid.ULID.Compare) {
		j := s.jobs[jobID]
		if !slices.Contains(j.inputs, id) {
			continue
		}
		var out []*block.Meta
		for _, shard := range slices.Sorted(maps.Keys(j.shards)) {
			out = append(out, s.blocks[j.shards[shard]])
		}
		return out
	}
	return nil
}

// Inputs returns the blocks whose place a job takes that reads some blocks:
// these, and those whose place they have taken. The inputs of a job of which not
// all shards are read are not among them: what the other shards have of them
// stays where it is.
func Inputs(read []*block.Meta) []ulid.ULID {
	shards := map[ulid.ULID]int{}
	for _, m := range read {
		if m.Compaction != nil {
			shards[m.Compaction.Job]++
		}
	}
	var out []ulid.ULID
	for _, m := range read {
		out = append(out, m.ID)
		if c := m.Compaction; c != nil && shards[c.Job] == c.Shards {
			out = append(out, c.Inputs...)
		}
	}
	slices.SortFunc(out, ulid.ULID.Compare)
	return slices.Compact(out)
}
