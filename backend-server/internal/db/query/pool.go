package query

import "sync"

// arrays are arrays of zeros for sums, which questions hand on to each other: a
// new one of every size would be most of what the garbage collector has to do.
var arrays sync.Pool

// zeros returns an array of n zeros, or more room.
func zeros(n int) []int64 {
	if kept, ok := arrays.Get().(*[]int64); ok && cap(*kept) >= n {
		return (*kept)[:n]
	}
	return make([]int64, n)
}

// largestKept is the length of the largest array that is kept.
const largestKept = 1 << 20

// recycle gives back an array that nobody refers to any more. Behind its length
// it must hold zeros.
func recycle(a []int64) {
	if cap(a) == 0 || cap(a) > largestKept {
		return
	}
	clear(a)
	a = a[:0]
	arrays.Put(&a)
}

// widened returns a with more zeros behind it.
func widened(a []int64, more int) []int64 {
	n := len(a) + more
	if n <= cap(a) {
		return a[:n]
	}
	out := zeros(n)
	copy(out, a)
	recycle(a)
	return out
}
