package distributor

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// firstPlausible is the start of 1971 in nanoseconds. Profiles from before have
// clocks that were never set.
const firstPlausible = 365 * 24 * 3600 * 1e9

// identity is what the records of a profile have in common in their IDs.
type identity struct {
	tenantID, clientID string
	time               profile.UnixMilli
	content            uint64 // hash of the decompressed bytes
	random             bool   // the profile came without a time
}

func hashBytes(b []byte) uint64 { return xxhash.Sum64(b) }

// of returns the ID of the record of one label set. No part can run into the
// next: 0xff ends each text, and is no byte of UTF-8.
func (id *identity) of(ls labels.Labels, group uint32) uint64 {
	var h xxhash.Digest
	h.Reset()
	text := func(s string) {
		_, _ = h.WriteString(s) // never fails
		_, _ = h.WriteString("\xff")
	}
	text(id.tenantID)
	ls.Range(func(l labels.Label) {
		text(l.Name)
		text(l.Value)
	})
	text(id.clientID)
	var b [20]byte
	binary.LittleEndian.PutUint32(b[:], group)
	binary.LittleEndian.PutUint64(b[4:], uint64(id.time))
	binary.LittleEndian.PutUint64(b[12:], id.content)
	_, _ = h.Write(b[:])
	return h.Sum64()
}
