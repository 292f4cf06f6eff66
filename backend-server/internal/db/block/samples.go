package block

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// The samples of a row are two byte strings, of stacks and of values, in
// variable-length numbers: most take one byte, and zstd finds what repeats,
// which it would not in packed bits.
//
// Stacks are stored by their gaps, since they ascend (B3). Values are stored as
// they are or, in a relative row, as the difference to the value that the stack
// had in the last row before that has it, back to the last row that is not
// relative: most of a heap does not change from profile to profile.

// put writes v to b from w on, where there is room, and returns where it ends.
func put(b []byte, w int, v uint64) int {
	for ; v >= 0x80; w++ {
		b[w] = byte(v) | 0x80
		v >>= 7
	}
	b[w] = byte(v)
	return w + 1
}

// room returns b with room for n more numbers, and its length before.
func room(b []byte, n, each int) ([]byte, int) {
	w := len(b)
	b = slices.Grow(b, n*each)
	return b[:cap(b)], w
}

// appendStacks appends stacks.
func appendStacks(b []byte, stacks []uint32) []byte {
	b, w := room(b, len(stacks), binary.MaxVarintLen32)
	next := uint32(0)
	for _, s := range stacks {
		w = put(b, w, uint64(s-next))
		next = s + 1
	}
	return b[:w]
}

// appendValues appends values.
func appendValues(b []byte, values []int64) []byte {
	b, w := room(b, len(values), binary.MaxVarintLen64)
	for _, v := range values {
		w = put(b, w, uint64(v))
	}
	return b[:w]
}

// appendChanges appends values relative to last, by stack, which it updates.
func appendChanges(b []byte, stacks []uint32, values, last []int64) []byte {
	b, w := room(b, len(values), binary.MaxVarintLen64)
	for i, s := range stacks {
		v := values[i]
		w = put(b, w, zigzag(v-last[s]))
		last[s] = v
	}
	return b[:w]
}

// note puts values into last.
func note(stacks []uint32, values, last []int64) {
	for i, s := range stacks {
		last[s] = values[i]
	}
}

var (
	errCutOff = fault.New(fault.Corrupt, "samples end too early")
	errLeft   = fault.New(fault.Corrupt, "samples go on behind the last")
)

// readStacks reads len(out) stacks below known.
func readStacks(b []byte, out []uint32, known uint32) error {
	next := uint64(0)
	for i := range out {
		var gap uint64
		if len(b) > 0 && b[0] < 0x80 {
			gap = uint64(b[0])
			b = b[1:]
		} else {
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return errCutOff
			}
			gap, b = v, b[n:]
		}
		if gap >= uint64(known) || next+gap >= uint64(known) {
			return fault.New(fault.Corrupt, "stack %d+%d of %d", next, gap, known)
		}
		out[i] = uint32(next + gap)
		next += gap + 1
	}
	if len(b) > 0 {
		return errLeft
	}
	return nil
}

// readValues reads len(out) values.
func readValues(b []byte, out []int64) error {
	for i := range out {
		if len(b) > 0 && b[0]-1 < 0x7f {
			out[i] = int64(b[0])
			b = b[1:]
			continue
		}
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return errCutOff
		}
		if v == 0 || v > math.MaxInt64 {
			return fault.New(fault.Corrupt, "value %d", v)
		}
		out[i], b = int64(v), b[n:]
	}
	if len(b) > 0 {
		return errLeft
	}
	return nil
}

// readChanges reads values relative to last, by stack, which it updates.
func readChanges(b []byte, stacks []uint32, out, last []int64) error {
	for i, s := range stacks {
		v := last[s]
		if len(b) > 0 && b[0] < 0x80 {
			v += unzigzag(uint64(b[0]))
			b = b[1:]
		} else {
			change, n := binary.Varint(b)
			if n <= 0 {
				return errCutOff
			}
			v += change
			b = b[n:]
		}
		if v <= 0 {
			return fault.New(fault.Corrupt, "value %d", v)
		}
		out[i], last[s] = v, v
	}
	if len(b) > 0 {
		return errLeft
	}
	return nil
}

// entropy estimates what bytes take when compressed, from how often each
// occurs.
type entropy struct {
	counts [256]int
	total  int
}

func (e *entropy) add(b []byte) {
	for _, c := range b {
		e.counts[c]++
	}
	e.total += len(b)
}

func (e *entropy) bits() float64 {
	bits := 0.0
	for _, n := range e.counts {
		if n > 0 {
			bits -= float64(n) * math.Log2(float64(n)/float64(e.total))
		}
	}
	return bits
}
