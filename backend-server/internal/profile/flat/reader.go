package flat

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// reader takes values off the front of a message. After the first error
// everything it returns is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Corrupt, "encoded profile: "+format, args...)
	}
	r.b = nil
}

func (r *reader) byte(what string) byte {
	if len(r.b) == 0 {
		r.fail("%s: the message ends too early", what)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) number(what string) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("%s: no number at %d bytes before the end", what, len(r.b))
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many elements follow, each of which takes at least a byte.
func (r *reader) count(what string) int {
	v := r.number(what)
	if v > uint64(min(len(r.b), math.MaxInt32)) {
		r.fail("%s: the count is %d, but only %d bytes are left", what, v, len(r.b))
		return 0
	}
	return int(v)
}

// signed reads a number that may be negative.
func (r *reader) signed(what string) int64 {
	v := r.number(what)
	return int64(v>>1) ^ -int64(v&1)
}

func appendSigned(dst []byte, v int64) []byte {
	return binary.AppendUvarint(dst, uint64(v)<<1^uint64(v>>63))
}

func (r *reader) fixed64(what string) uint64 {
	if len(r.b) < 8 {
		r.fail("%s: the message ends too early", what)
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// text reads a string, which lies in the message.
func (r *reader) text(what string) string {
	n := r.count(what)
	s := unsafe.String(unsafe.SliceData(r.b), n)
	r.b = r.b[n:]
	return s
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// below reports an index that is not below n, most being the largest of c.
func below[T number](r *reader, c []T, most T, n int, what string) {
	if r.err == nil && len(c) > 0 && uint64(most) >= uint64(n) {
		r.fail("%s[%d] is %d; there are %d", what, slices.Index(c, most), most, n)
	}
}
