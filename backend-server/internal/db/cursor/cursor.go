// Package cursor reads the numbers and strings of a record one after the
// other. After the first fault it returns zeros and keeps the fault, so that a
// decoder checks for errors where it has to and not after every number.
package cursor

import (
	"encoding/binary"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Cursor is a place in a record. The zero Cursor is at the end of one.
type Cursor struct {
	what string
	b    []byte
	err  error
}

// New returns a cursor at the start of b; faults say what it is.
func New(what string, b []byte) Cursor { return Cursor{what: what, b: b} }

// Err is the first fault, of kind Corrupt, or nil.
func (c *Cursor) Err() error { return c.err }

// Rest is what has not been read, nothing after a fault.
func (c *Cursor) Rest() []byte { return c.b }

// Skip goes to rest, which is the end of what has not been read.
func (c *Cursor) Skip(rest []byte) { c.b = rest }

// Fail notes a fault, unless there is one already.
func (c *Cursor) Fail(format string, args ...any) {
	if c.err == nil {
		c.err = fault.New(fault.Corrupt, c.what+": "+format, args...)
	}
	c.b = nil
}

// Take returns the next n bytes, which belong to the record.
func (c *Cursor) Take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.Fail("%d bytes where %d are left", n, len(c.b))
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

// Byte returns the next byte.
func (c *Cursor) Byte() byte {
	if b := c.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint64 returns the next eight bytes as a big-endian number.
func (c *Cursor) Uint64() uint64 {
	if b := c.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uvarint returns the next number.
func (c *Cursor) Uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.Fail("cut off or overlong number")
		return 0
	}
	c.b = c.b[n:]
	return v
}

// Varint returns the next number, which has a sign.
func (c *Cursor) Varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.Fail("cut off or overlong number")
		return 0
	}
	c.b = c.b[n:]
	return v
}

// Text returns a copy of the next string: its length, then its bytes.
func (c *Cursor) Text() string { return string(c.Take(c.Uvarint())) }

// Count returns the next number, of things that each take least bytes or more.
func (c *Cursor) Count(least int) int {
	n := c.Uvarint()
	if n > uint64(len(c.b)/least) {
		c.Fail("%d entries in %d bytes", n, len(c.b))
		return 0
	}
	return int(n)
}

// Index returns the next number, which must be below size.
func (c *Cursor) Index(size int) uint32 {
	v := c.Uvarint()
	if v >= uint64(size) {
		c.Fail("index %d in a table of %d", v, size)
		return 0
	}
	return uint32(v)
}
