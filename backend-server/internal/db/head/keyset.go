package head

import "math/rand/v2"

// keySet is the keys of the profiles that a partition holds: an open-addressing
// hash table of eight bytes a slot, loaded to three quarters at most.
type keySet struct {
	slots []uint64 // length is a power of two, or 0; 0 is an empty slot
	used  int
	zero  bool // whether key 0 is in the set
	odd   uint64
}

const firstKeys = 8

func (s *keySet) has(key uint64) bool {
	if key == 0 {
		return s.zero
	}
	return len(s.slots) > 0 && s.slots[s.find(key)] == key
}

// find returns the slot that the key is in, or the empty one where it belongs.
// Keys are hashes, but not secret ones: they come to a place that nobody knows.
func (s *keySet) find(key uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	at := key * s.odd >> 32 & mask
	for s.slots[at] != 0 && s.slots[at] != key {
		at = (at + 1) & mask
	}
	return at
}

// add adds a key that is not in the set.
func (s *keySet) add(key uint64) {
	if key == 0 {
		s.zero = true
		return
	}
	if 4*(s.used+1) > 3*len(s.slots) {
		s.grow()
	}
	s.slots[s.find(key)] = key
	s.used++
}

func (s *keySet) grow() {
	if s.odd == 0 {
		s.odd = rand.Uint64() | 1
	}
	old := s.slots
	s.slots = make([]uint64, max(firstKeys, 2*len(old)))
	for _, key := range old {
		if key != 0 {
			s.slots[s.find(key)] = key
		}
	}
}

func (s *keySet) bytes() int64 { return int64(len(s.slots)) * 8 }
