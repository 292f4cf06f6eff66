package pprof

// An idTable turns the IDs of one kind of message into indices. The usual
// numbering, 1 to n in order, needs no table at all; IDs that are merely small
// are looked up in an array, any others in a map.
type idTable struct {
	base      uint32 // index of the first
	n         uint64 // how many IDs there are
	inOrder   uint64 // n as long as they are 1 to n in order, then 0
	scattered bool   // they are not, and the tables hold all of them

	limit  uint64            // IDs below are in direct
	direct []uint32          // index+1 by ID
	sparse map[uint64]uint32 // index by ID
}

// reset empties the table for n IDs, the first of which gets the index base.
func (t *idTable) reset(n int, base uint32) {
	t.base, t.n, t.inOrder, t.scattered, t.limit = base, 0, 0, false, 2*uint64(n)+64
}

// next adds id if it is the one that numbering in order expects.
func (t *idTable) next(id uint64) bool {
	if t.scattered || id != t.n+1 {
		return false
	}
	t.n, t.inOrder = id, id
	return true
}

// add gives id the next index and reports whether it was free.
func (t *idTable) add(id uint64) bool {
	if t.next(id) {
		return true
	}
	if !t.scattered {
		t.scatter()
	}
	if _, taken := t.find(id); taken {
		return false
	}
	i := t.base + uint32(t.n)
	t.n++
	if id < t.limit {
		t.direct[id] = i + 1
		return true
	}
	if t.sparse == nil {
		t.sparse = map[uint64]uint32{}
	}
	t.sparse[id] = i
	return true
}

// scatter begins the tables with the IDs that came in order.
func (t *idTable) scatter() {
	if uint64(cap(t.direct)) < t.limit {
		t.direct = make([]uint32, t.limit)
	}
	t.direct = t.direct[:t.limit]
	clear(t.direct)
	clear(t.sparse)
	for i := range uint32(t.n) {
		t.direct[i+1] = t.base + i + 1
	}
	t.inOrder, t.scattered = 0, true
}

// find returns the index of id, or 0 and false.
func (t *idTable) find(id uint64) (uint32, bool) {
	if id-1 < t.inOrder {
		return t.base + uint32(id-1), true
	}
	return t.lookUp(id)
}

func (t *idTable) lookUp(id uint64) (uint32, bool) {
	if !t.scattered {
		return 0, false
	}
	if id >= t.limit {
		i, ok := t.sparse[id]
		return i, ok
	}
	if t.direct[id] == 0 {
		return 0, false
	}
	return t.direct[id] - 1, true
}
