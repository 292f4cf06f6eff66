package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func id(n int) ulid.ULID { return ulid.ULID{14: byte(n >> 8), 15: byte(n)} }

// plain is a block that was cut from a head.
func plain(n int) *block.Meta { return &block.Meta{ID: id(n), MinTime: profile.UnixMilli(n % 5)} }

// made is shard i of the blocks that a job has made of others.
func made(n, job, i, shards int, inputs ...ulid.ULID) *block.Meta {
	m := plain(n)
	m.Compaction = &block.Compaction{Job: id(job), Inputs: inputs, Level: 1, Shard: i, Shards: shards}
	return m
}

func idsOf(blocks []*block.Meta) []ulid.ULID {
	out := []ulid.ULID{}
	for _, m := range blocks {
		out = append(out, m.ID)
	}
	return out
}

// replacedBy is K1, word for word.
func replacedBy(there map[ulid.ULID]*block.Meta, of ulid.ULID) bool {
	shards := map[ulid.ULID]map[int]bool{}
	for _, m := range there {
		if c := m.Compaction; c != nil {
			if shards[c.Job] == nil {
				shards[c.Job] = map[int]bool{}
			}
			shards[c.Job][c.Shard] = true
		}
	}
	for _, m := range there {
		if c := m.Compaction; c != nil && len(shards[c.Job]) == c.Shards && slices.Contains(c.Inputs, of) {
			return true
		}
	}
	return false
}

// randomBlocks are blocks of which some were made of earlier ones.
func randomBlocks(rng *rand.Rand) (all []*block.Meta) {
	for n := 1; n <= 5; n++ {
		all = append(all, plain(n))
	}
	for job := range rng.IntN(6) {
		var inputs []*block.Meta
		for _, m := range all {
			if rng.IntN(3) == 0 {
				inputs = append(inputs, m)
			}
		}
		shards := 1 + rng.IntN(3)
		for i := range shards {
			all = append(all, made(100+10*job+i, 200+job, i, shards, Inputs(inputs)...))
		}
	}
	return all
}

// Whatever comes and goes in whatever order, a set says what K1 and K2 say.
func TestSetIsOfWhatIsKnown(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		all := randomBlocks(rng)
		s, there := NewSet(), map[ulid.ULID]*block.Meta{}
		for range 60 {
			m := all[rng.IntN(len(all))]
			if rng.IntN(3) > 0 {
				s.Add(m)
				there[m.ID] = m
			} else {
				s.Remove(m.ID)
				delete(there, m.ID)
			}
			var counting []ulid.ULID
			for _, m := range all {
				replaced := replacedBy(there, m.ID)
				require.Equal(t, replaced, s.Replaced(m.ID), "seed %d, block %s", seed, m.ID)
				require.Equal(t, replaced, s.Replacements(m.ID) != nil)
				for _, r := range s.Replacements(m.ID) {
					require.Contains(t, r.Compaction.Inputs, m.ID)
				}
				require.Equal(t, there[m.ID], s.Get(m.ID))
				if there[m.ID] != nil && !replaced {
					counting = append(counting, m.ID)
				}
			}
			require.ElementsMatch(t, counting, idsOf(s.Counting()), "seed %d", seed)
			require.True(t, slices.IsSortedFunc(s.Counting(), func(a, b *block.Meta) int { return int(a.MinTime - b.MinTime) }))
			require.Len(t, s.All(), len(there))
			require.Equal(t, len(there), s.Len())
		}
	}
}

// Jobs read any blocks, shards of others among them; somebody has not heard of
// some of the blocks that they made. What counts for him has every profile all the
// same.
func TestNothingIsLostThatWasMade(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 2))
		holds := map[ulid.ULID]map[string]bool{} // by block: profiles
		all := []*block.Meta{}
		whole := map[string]bool{}
		for n := 1; n <= 4; n++ {
			holds[id(n)] = map[string]bool{}
			for service := range 3 {
				p := fmt.Sprint(n, " of service ", service)
				holds[id(n)][p], whole[p] = true, true
			}
			all = append(all, plain(n))
		}
		for job := range 6 {
			var inputs []*block.Meta
			for _, m := range NewSet(all...).Counting() {
				if rng.IntN(2) == 0 {
					inputs = append(inputs, m)
				}
			}
			shards := 1 + rng.IntN(3)
			for i := range shards {
				m := made(100+10*job+i, 200+job, i, shards, Inputs(inputs)...)
				holds[m.ID] = map[string]bool{}
				for _, in := range inputs {
					for p := range holds[in.ID] {
						if int(p[len(p)-1])%shards == i {
							holds[m.ID][p] = true
						}
					}
				}
				all = append(all, m)
			}
			// Somebody has not heard of some of the new blocks.
			s := NewSet(slices.DeleteFunc(slices.Clone(all), func(m *block.Meta) bool {
				return m.Compaction != nil && rng.IntN(3) == 0
			})...)
			seen := map[string]bool{}
			for _, m := range s.Counting() {
				for p := range holds[m.ID] {
					seen[p] = true
				}
			}
			require.Equal(t, whole, seen, "seed %d, job %d", seed, job)
		}
	}
}

func TestInputsOfWholeJobsOnly(t *testing.T) {
	a, b := plain(1), plain(2)
	one, two := made(11, 21, 0, 2, a.ID), made(12, 21, 1, 2, a.ID)
	require.Equal(t, []ulid.ULID{a.ID, b.ID}, Inputs([]*block.Meta{b, a}))
	require.Equal(t, []ulid.ULID{a.ID, b.ID, one.ID, two.ID}, Inputs([]*block.Meta{b, one, two}))
	require.Equal(t, []ulid.ULID{b.ID, one.ID}, Inputs([]*block.Meta{b, one}), "the other shard has some of the first block")
	require.Empty(t, Inputs(nil))
}
