package head

import (
	"encoding/binary"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// A row's samples: for each, uvarint gap<<1|one, where gap is the distance to
// the previous stack index (from 0) and one says that the value is 1;
// otherwise uvarint value follows.

func appendSample(dst []byte, gap uint32, value int64) []byte {
	if value == 1 {
		return binary.AppendUvarint(dst, uint64(gap)<<1|1)
	}
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(gap)<<1), uint64(value))
}

// maxSampleBytes is the most that a sample takes.
const maxSampleBytes = 5 + binary.MaxVarintLen64

// putSample does as appendSample, but from b[w] on, where there is room. It
// returns where it stopped.
func putSample(b []byte, w int, gap uint32, value int64) int {
	if value == 1 {
		return putUvarint(b, w, uint64(gap)<<1|1)
	}
	return putUvarint(b, putUvarint(b, w, uint64(gap)<<1), uint64(value))
}

func putUvarint(b []byte, w int, v uint64) int {
	for ; v >= 0x80; w++ {
		b[w] = byte(v) | 0x80
		v >>= 7
	}
	b[w] = byte(v)
	return w + 1
}

// decodeSamples appends a row's samples to the two slices.
func decodeSamples(b []byte, stacks []uint32, values []int64) ([]uint32, []int64, error) {
	stack := uint64(0)
	for len(b) > 0 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return stacks, values, errCutOff
		}
		b = b[n:]
		value := uint64(1)
		if v&1 == 0 {
			if value, n = binary.Uvarint(b); n <= 0 {
				return stacks, values, errCutOff
			}
			b = b[n:]
		}
		stack += v >> 1
		stacks = append(stacks, uint32(stack))
		values = append(values, int64(value))
	}
	return stacks, values, nil
}

var errCutOff = fault.New(fault.Corrupt, "samples of a row: cut off or overlong number")

// A row's span samples: for each, uvarint stack, 8 bytes span ID, one byte 1
// and 16 bytes trace ID or one byte 0, uvarint value.

func appendSpan(dst []byte, s query.SpanSample) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.Stack))
	dst = binary.BigEndian.AppendUint64(dst, s.SpanID)
	if s.TraceID == ([16]byte{}) {
		dst = append(dst, 0)
	} else {
		dst = append(append(dst, 1), s.TraceID[:]...)
	}
	return binary.AppendUvarint(dst, uint64(s.Value))
}

func decodeSpans(b []byte, spans []query.SpanSample) ([]query.SpanSample, error) {
	for len(b) > 0 {
		var s query.SpanSample
		stack, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+9 {
			return spans, errCutOff
		}
		s.Stack, s.SpanID = uint32(stack), binary.BigEndian.Uint64(b[n:])
		hasTrace := b[n+8] == 1
		b = b[n+9:]
		if hasTrace {
			if len(b) < 16 {
				return spans, errCutOff
			}
			copy(s.TraceID[:], b)
			b = b[16:]
		}
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return spans, errCutOff
		}
		s.Value = int64(value)
		b = b[n:]
		spans = append(spans, s)
	}
	return spans, nil
}

func clone(v profile.ValueType) profile.ValueType {
	return profile.ValueType{Type: strings.Clone(v.Type), Unit: strings.Clone(v.Unit)}
}
