package cluster

import "github.com/cespare/xxhash/v2"

// Token is where a thing of a tenant lies on a ring: a series by the stable
// hash of its labels (labels.StableHash), a block by a hash of its ID. It is
// the same in all processes and versions (R3).
func Token(tenant string, hash uint64) uint32 {
	// A good mixer (that of MurmurHash3), since 32 of the 64 bits are kept.
	x := hash ^ xxhash.Sum64String(tenant)
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return uint32((x ^ x>>33) >> 32)
}
