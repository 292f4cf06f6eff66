package pprof

// An idTable turns the IDs of one kind of message into indices. The usual
// numbering, 1 to n in order, needs no table at all; IDs that are merely small
// are looked up in an array, any others in a map.
type idTable struct {
	inOrder bool
	n       uint32            // how many IDs there are
	base    uint32            // index of the first
	direct  []uint32          // index+1 by ID
	sparse  map[uint64]uint32 // index by ID
}

// reset empties the table for n IDs, the first of which gets the index base.
func (t *idTable) reset(n int, base uint32) {
	t.inOrder, t.n, t.base = true, 0, base
	limit := 2*n + 64
	if cap(t.direct) < limit {
		t.direct = make([]uint32, limit)
	}
	t.direct = t.direct[:limit]
	clear(t.direct)
	clear(t.sparse)
}

// add gives id the next index and reports whether it was free.
func (t *idTable) add(id uint64) bool {
	i := t.base + t.n
	t.n++
	if id != uint64(t.n) {
		t.inOrder = false
	}
	if id < uint64(len(t.direct)) {
		if t.direct[id] != 0 {
			return false
		}
		t.direct[id] = i + 1
		return true
	}
	if _, taken := t.sparse[id]; taken {
		return false
	}
	if t.sparse == nil {
		t.sparse = map[uint64]uint32{}
	}
	t.sparse[id] = i
	return true
}

// find returns the index of id, or 0 and false.
func (t *idTable) find(id uint64) (uint32, bool) {
	if t.inOrder && id-1 < uint64(t.n) {
		return t.base + uint32(id-1), true
	}
	if id < uint64(len(t.direct)) && t.direct[id] != 0 {
		return t.direct[id] - 1, true
	}
	i, ok := t.sparse[id]
	return i, ok
}
