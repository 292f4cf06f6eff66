package table

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// maxPage bounds a page, before compression. The writer keeps to it, so a
// greater one is damage.
const maxPage = 1 << 30

// valuesPerPage is how many numbers a page holds at most.
const valuesPerPage = 1 << 20

// encoderWindow is how far back the compressor looks. It holds twice that for
// each processor as long as the process lives; most pages are shorter.
const encoderWindow = 1 << 20

// encoder and decoder are shared by all: both serve concurrent callers, and
// what they allocate is worth keeping. They are made at once, with the channels
// inside, which must not belong to the time bubble of a test.
var (
	encoder = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(encoderWindow), zstd.WithEncoderCRC(false)))
	decoder = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxPage)))
	_       = encoder.EncodeAll(nil, nil)
)

// must returns v. The options of the above are constants, so that they are good
// shows at every start.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A page header is a Thrift struct in the compact protocol. Only one shape is
// ever written, so it is written, and read, by hand:
//
//	1: page type   2: size   3: size compressed   4: CRC-32
//	5: {1: values   2: encoding   3, 4: encoding of levels, of which there are none}
const (
	fieldInt    = 0x15 // a 32-bit number, the field after the one before
	fieldStruct = 0x1c
	stop        = 0x00
	levels      = 3 << 1 // RLE
)

// header is what a page header says.
type header struct {
	raw, stored, values int
	crc                 uint32
	encoding            int64
}

func (h *header) append(b []byte) []byte {
	number := func(v int64) {
		b = binary.AppendVarint(append(b, fieldInt), v)
	}
	number(0) // a data page
	number(int64(h.raw))
	number(int64(h.stored))
	number(int64(int32(h.crc)))
	b = append(b, fieldStruct)
	number(int64(h.values))
	number(h.encoding)
	return append(b, fieldInt, levels, fieldInt, levels, stop, stop)
}

var errHeader = fault.New(fault.Corrupt, "page header of another shape")

// parse reads the header at the begin of b and returns what follows it.
func (h *header) parse(b []byte) ([]byte, error) {
	var v [6]int64
	for i := range v {
		if i == 4 {
			if len(b) == 0 || b[0] != fieldStruct {
				return nil, errHeader
			}
			b = b[1:]
		}
		if len(b) == 0 || b[0] != fieldInt {
			return nil, errHeader
		}
		var n int
		if v[i], n = binary.Varint(b[1:]); n <= 0 {
			return nil, errHeader
		}
		b = b[1+n:]
	}
	const tail = "\x15\x06\x15\x06\x00\x00"
	if v[0] != 0 || len(b) < len(tail) || string(b[:len(tail)]) != tail {
		return nil, errHeader
	}
	b = b[len(tail):]
	if v[1] < 0 || v[1] > maxPage || v[2] < 0 || v[2] > int64(len(b)) || v[4] < 0 || v[4] > maxPage {
		return nil, fault.New(fault.Corrupt, "page of %d bytes, %d stored, of %d values, with %d bytes left", v[1], v[2], v[4], len(b))
	}
	*h = header{raw: int(v[1]), stored: int(v[2]), crc: uint32(v[3]), values: int(v[4]), encoding: v[5]}
	return b, nil
}

// appendPage appends raw as a page, header and content. packed is memory for
// the compressed content; it is returned for the next page.
func appendPage(b, raw, packed []byte, values int, k Kind, c Compression) (page, scratch []byte, err error) {
	if len(raw) > maxPage {
		return nil, nil, fault.New(fault.Invalid, "page of %d bytes; the limit is %d", len(raw), maxPage)
	}
	content := raw
	if c == Zstd {
		packed = encoder.EncodeAll(raw, packed[:0])
		content = packed
	}
	h := header{raw: len(raw), stored: len(content), crc: crc32.ChecksumIEEE(content), values: values, encoding: int64(k.encoding())}
	return append(h.append(b), content...), packed, nil
}

// readPage reads the page at the begin of b: its content, decompressed into buf
// if need be, and the number of its values. rest is what follows the page.
func readPage(b, buf []byte, k Kind, c Compression) (raw []byte, values int, rest []byte, err error) {
	var h header
	if b, err = h.parse(b); err != nil {
		return nil, 0, nil, err
	}
	content, rest := b[:h.stored], b[h.stored:]
	if sum := crc32.ChecksumIEEE(content); sum != h.crc {
		return nil, 0, nil, fault.New(fault.Corrupt, "page: checksum %08x, written %08x", sum, h.crc)
	}
	if h.encoding != int64(k.encoding()) {
		return nil, 0, nil, fault.New(fault.Corrupt, "page encoding %d", h.encoding)
	}
	if c == Zstd {
		if content, err = inflate(content, buf, h.raw); err != nil {
			return nil, 0, nil, err
		}
	}
	if len(content) != h.raw {
		return nil, 0, nil, fault.New(fault.Corrupt, "page of %d bytes where %d were written", len(content), h.raw)
	}
	return content, h.values, rest, nil
}

// inflate decompresses to buf, or to new memory, of which there is at first no
// more than the compressed size makes likely.
func inflate(packed, buf []byte, size int) ([]byte, error) {
	room := min(size, 64*len(packed)+1<<16)
	for {
		if cap(buf) < room {
			buf = make([]byte, 0, room)
		}
		out, err := decoder.DecodeAll(packed, buf[:0:max(room, min(cap(buf), size))])
		if err == nil {
			return out, nil
		}
		if room == size {
			return nil, fault.Mark(fault.Corrupt, fmt.Errorf("page: %w", err))
		}
		room = min(size, 16*room)
	}
}
