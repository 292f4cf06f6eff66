package block

import (
	"math/bits"
	"slices"
)

// rankSorter brings the samples of a row into the order of their ranks.
type rankSorter struct {
	marked []uint64 // a bit for each rank
	values []int64  // by rank
	pairs  []uint64
}

// begin prepares for stacks that many.
func (s *rankSorter) begin(stacks int) {
	if len(s.values) < stacks {
		s.values = make([]int64, stacks)
		s.marked = make([]uint64, (stacks+63)/64)
	}
}

// sort appends the ranks of stacks, ascending, and their values.
func (s *rankSorter) sort(stacks []uint32, values []int64, ranks []uint32, toRanks []uint32, toValues []int64) ([]uint32, []int64) {
	if len(stacks) == 0 {
		return toRanks, toValues
	}
	// Going over all marks takes longer than sorting where they are few.
	if len(s.marked) > 8*len(stacks)+64 {
		return s.sortPairs(stacks, values, ranks, toRanks, toValues)
	}
	least, most := ^uint32(0), uint32(0)
	for i, stack := range stacks {
		r := ranks[stack]
		least, most = min(least, r), max(most, r)
		s.marked[r/64] |= 1 << (r % 64)
		s.values[r] = values[i]
	}
	for w := least / 64; w <= most/64; w++ {
		for m := s.marked[w]; m != 0; m &= m - 1 {
			r := w*64 + uint32(bits.TrailingZeros64(m))
			toRanks, toValues = append(toRanks, r), append(toValues, s.values[r])
		}
		s.marked[w] = 0
	}
	return toRanks, toValues
}

func (s *rankSorter) sortPairs(stacks []uint32, values []int64, ranks []uint32, toRanks []uint32, toValues []int64) ([]uint32, []int64) {
	s.pairs = s.pairs[:0]
	for i, stack := range stacks {
		s.pairs = append(s.pairs, uint64(ranks[stack])<<32|uint64(i))
	}
	slices.Sort(s.pairs)
	for _, p := range s.pairs {
		toRanks, toValues = append(toRanks, uint32(p>>32)), append(toValues, values[uint32(p)])
	}
	return toRanks, toValues
}

func (s *rankSorter) size() int { return 8 * (len(s.marked) + len(s.values) + cap(s.pairs)) }
