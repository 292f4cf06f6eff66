package symbols

// refs is an open-addressing hash table from content to table index, for
// contents that are compared on every find. It keeps 32 bits of each hash, from
// which it also tells an entry's place, so it grows without looking elsewhere.
type refs struct {
	slots []refSlot // length is a power of two, or 0
	used  int
}

type refSlot struct {
	hash uint32
	ref  uint32 // table index + 1, 0 for an empty slot
}

const firstSlots = 8

// find returns the index whose content equals.
func (h *refs) find(hash uint32, equal func(i uint32) bool) (uint32, bool) {
	if len(h.slots) == 0 {
		return 0, false
	}
	mask := uint32(len(h.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		s := h.slots[at]
		if s.ref == 0 {
			return 0, false
		}
		if s.hash == hash && equal(s.ref-1) {
			return s.ref - 1, true
		}
	}
}

// insert adds an index whose content is known to be absent. The load stays at
// or below three quarters.
func (h *refs) insert(hash, i uint32) {
	if 4*(h.used+1) > 3*len(h.slots) {
		h.remake(max(firstSlots, 2*len(h.slots)), i)
	}
	h.place(refSlot{hash, i + 1})
}

func (h *refs) place(s refSlot) {
	mask := uint32(len(h.slots) - 1)
	at := s.hash & mask
	for h.slots[at].ref != 0 {
		at = (at + 1) & mask
	}
	h.slots[at] = s
	h.used++
}

// remake moves the entries below an index to a table of the given size.
func (h *refs) remake(size int, below uint32) {
	old := h.slots
	h.slots, h.used = make([]refSlot, size), 0
	for _, s := range old {
		if s.ref != 0 && s.ref <= below {
			h.place(s)
		}
	}
}

// truncate forgets the entries from an index on.
func (h *refs) truncate(below uint32) { h.remake(len(h.slots), below) }

// reserve makes room for n entries in an empty table.
func (h *refs) reserve(n int) { h.slots = make([]refSlot, slotsFor(n, 3, 4)) }

func (h *refs) bytes() int64 { return int64(len(h.slots)) * 8 }

// prints is an open-addressing hash table from digest to table index. It
// compares 96 bits of the digest and nothing else. The load stays at or below
// one half.
type prints struct {
	slots []printSlot // length is a power of two, or 0
	used  int
}

type printSlot struct {
	a   uint64
	b   uint32
	ref uint32 // table index + 1, 0 for an empty slot
}

func (h *prints) find(d digest) (uint32, bool) {
	if len(h.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(h.slots) - 1)
	for at := d.a & mask; ; at = (at + 1) & mask {
		s := &h.slots[at]
		if s.ref == 0 {
			return 0, false
		}
		if s.a == d.a && s.b == uint32(d.b) {
			return s.ref - 1, true
		}
	}
}

// insert adds an index whose digest is known to be absent.
func (h *prints) insert(d digest, i uint32) {
	if 2*(h.used+1) > len(h.slots) {
		h.remake(max(firstSlots, 2*len(h.slots)), i)
	}
	h.place(printSlot{d.a, uint32(d.b), i + 1})
}

func (h *prints) place(s printSlot) {
	mask := uint64(len(h.slots) - 1)
	at := s.a & mask
	for h.slots[at].ref != 0 {
		at = (at + 1) & mask
	}
	h.slots[at] = s
	h.used++
}

// remake, truncate, reserve and bytes are as those of refs.

func (h *prints) remake(size int, below uint32) {
	old := h.slots
	h.slots, h.used = make([]printSlot, size), 0
	for _, s := range old {
		if s.ref != 0 && s.ref <= below {
			h.place(s)
		}
	}
}

func (h *prints) truncate(below uint32) { h.remake(len(h.slots), below) }

func (h *prints) reserve(n int) { h.slots = make([]printSlot, slotsFor(n, 1, 2)) }

func (h *prints) bytes() int64 { return int64(len(h.slots)) * 16 }

// slotsFor returns the smallest size of a table whose load by n entries is at
// most num/den.
func slotsFor(n, num, den int) int {
	size := firstSlots
	for num*size < den*n {
		size *= 2
	}
	return size
}
