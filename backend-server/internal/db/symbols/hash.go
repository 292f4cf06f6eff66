package symbols

import "math/bits"

// hashIndex is an open-addressing hash table from content to table index. It
// stores 32 bits of each hash beside the index, so that contents are compared
// only where an entry is almost surely the right one. The load stays below one
// half.
type hashIndex struct {
	slots []slot // length is a power of two, or 0
	used  int
}

type slot struct {
	hash uint32 // upper bits of the content's hash
	ref  uint32 // table index + 1, 0 for an empty slot
}

const firstSlots = 16

// find returns the index whose content equals, or where it belongs.
func (h *hashIndex) find(hash uint64, equal func(i uint32) bool) (uint32, bool) {
	if len(h.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(h.slots) - 1)
	upper := uint32(hash >> 32)
	for at := hash & mask; ; at = (at + 1) & mask {
		s := h.slots[at]
		if s.ref == 0 {
			return 0, false
		}
		if s.hash == upper && equal(s.ref-1) {
			return s.ref - 1, true
		}
	}
}

// insert adds an index whose content is known to be absent. Only 32 bits of
// the hash are kept, so growing needs rehash to tell each entry's hash again.
func (h *hashIndex) insert(hash uint64, i uint32, rehash func(i uint32) uint64) {
	if 2*(h.used+1) > len(h.slots) {
		h.grow(rehash)
	}
	h.place(hash, i)
	h.used++
}

// insertNew adds an index unless equal content is there.
func (h *hashIndex) insertNew(hash uint64, i uint32, equal func(i uint32) bool, rehash func(i uint32) uint64) {
	if _, known := h.find(hash, equal); !known {
		h.insert(hash, i, rehash)
	}
}

func (h *hashIndex) place(hash uint64, i uint32) {
	mask := uint64(len(h.slots) - 1)
	at := hash & mask
	for h.slots[at].ref != 0 {
		at = (at + 1) & mask
	}
	h.slots[at] = slot{hash: uint32(hash >> 32), ref: i + 1}
}

func (h *hashIndex) grow(rehash func(i uint32) uint64) {
	old := h.slots
	h.slots = make([]slot, max(firstSlots, 2*len(old)))
	for _, s := range old {
		if s.ref != 0 {
			h.place(rehash(s.ref-1), s.ref-1)
		}
	}
}

// rebuild makes h the table of the indices [from, to), whose contents differ.
func (h *hashIndex) rebuild(from, to uint32, hash func(i uint32) uint64) {
	clear(h.slots)
	h.used = 0
	for i := from; i < to; i++ {
		h.insert(hash(i), i, hash)
	}
}

// bytes is the memory the table takes.
func (h *hashIndex) bytes() int64 { return int64(len(h.slots)) * 8 }

// mix folds v into the hash h: a 64×64→128 bit multiplication whose halves are
// xored, as in wyhash.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, v^0xd6e8feb86659fd93)
	return hi ^ lo
}
