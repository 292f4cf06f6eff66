package head

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeySet(t *testing.T) {
	var s keySet
	want := map[uint64]bool{}
	rng := rand.New(rand.NewPCG(1, 2))
	require.False(t, s.has(0))
	for i := range uint64(5000) {
		for _, key := range []uint64{i, i << 32, rng.Uint64()} {
			require.Equal(t, want[key], s.has(key))
			if !want[key] {
				s.add(key)
				want[key] = true
			}
		}
	}
	for key := range want {
		require.True(t, s.has(key))
	}
	require.False(t, s.has(1<<40|1))
	require.Less(t, s.bytes(), int64(len(want))*22)
}

// What is placed stays where it is, whatever comes after, in chunks that are
// shared and in chunks of its own.
func TestArena(t *testing.T) {
	var a arena
	rng := rand.New(rand.NewPCG(1, 2))
	var spots []spot
	var kept [][2][]byte
	total := int64(0)
	for range 3000 {
		data := make([]byte, rng.IntN(40))
		switch rng.IntN(100) {
		case 0:
			data = make([]byte, lastChunk/4+rng.IntN(lastChunk))
		case 1, 2:
			data = make([]byte, rng.IntN(lastChunk/4))
		}
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		spans := bytes.Repeat([]byte{7}, rng.IntN(3)*rng.IntN(20))
		total += int64(len(data) + len(spans))
		spots, kept = append(spots, a.place(data, spans)), append(kept, [2][]byte{data, spans})
	}
	for i, at := range spots {
		data, spans := placed(a.chunks, at)
		require.True(t, bytes.Equal(kept[i][0], data) && bytes.Equal(kept[i][1], spans), "row %d", i)
		require.Equal(t, len(data), cap(data))
	}
	require.Greater(t, a.bytes, total)
	require.Less(t, a.bytes, total*5/4)
}

func TestSortIsStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var a appender
	for _, stacks := range []uint32{1, 3, 200, 1 << 9, 1 << 17, 1<<32 - 1} {
		for _, n := range []int{0, 1, smallSort, smallSort + 1, 700} {
			a.found = a.found[:0]
			want := []uint64{}
			for i := range n {
				stack := rng.Uint32N(stacks)
				a.found = append(a.found, stack)
				want = append(want, uint64(stack)<<32|uint64(100+i))
			}
			slices.SortStableFunc(want, func(x, y uint64) int { return cmp.Compare(x>>32, y>>32) })
			a.sort(100)
			require.True(t, slices.Equal(want, a.order))
			slices.Sort(a.found)
			a.sort(0)
			require.True(t, slices.IsSorted(a.order))
		}
	}
}

// Both encoders write the same bytes.
func TestPutSample(t *testing.T) {
	b := make([]byte, maxSampleBytes)
	for _, gap := range []uint32{0, 1, 63, 64, 1 << 13, 1<<32 - 1} {
		for _, value := range []int64{1, 2, 127, 128, 1<<63 - 1} {
			require.Equal(t, appendSample(nil, gap, value), b[:putSample(b, 0, gap, value)])
		}
	}
}
