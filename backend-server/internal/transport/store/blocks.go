package store

import (
	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func encodeBlocks(ids []ulid.ULID) []byte {
	var out []byte
	for _, id := range ids {
		out = append(out, id[:]...)
	}
	return out
}

// decodeBlocks returns nil for none.
func decodeBlocks(b []byte) ([]ulid.ULID, error) {
	const size = len(ulid.ULID{})
	if len(b)%size != 0 {
		return nil, fault.New(fault.Invalid, "the IDs of blocks have %d bytes; they must have a multiple of %d", len(b), size)
	}
	var out []ulid.ULID
	for ; len(b) > 0; b = b[size:] {
		out = append(out, ulid.ULID(b[:size]))
	}
	return out, nil
}
