package pyroblock

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cursor reads numbers from bytes. After a failure it reads zeros.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.bad, c.rest = true, nil
		return nil
	}
	out := c.rest[:n]
	c.rest = c.rest[n:]
	return out
}

func (c *cursor) uint32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.bad, c.rest = true, nil
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

// part returns the bytes [from, to) of a file.
func part(file []byte, what string, from, to uint64) ([]byte, error) {
	if from > to || to > uint64(len(file)) {
		return nil, fault.New(fault.Corrupt, "%s: bytes %d to %d of %d", what, from, to, len(file))
	}
	return file[from:to], nil
}

// checked takes the checksum off the end of b, which it must be of.
func checked(b []byte, what string) ([]byte, error) {
	if len(b) < 4 {
		return nil, fault.New(fault.Corrupt, "%s: has %d bytes, too few for a checksum", what, len(b))
	}
	body, want := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if sum := crc32.Checksum(body, castagnoli); sum != want {
		return nil, fault.New(fault.Corrupt, "%s: checksum %08x; written was %08x", what, sum, want)
	}
	return body, nil
}
