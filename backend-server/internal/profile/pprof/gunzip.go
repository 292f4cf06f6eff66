package pprof

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// maxRatio is more than deflate can compress anything.
const maxRatio = 1032

// bufferStep is what the size of the buffer is a multiple of: profiles of one
// program grow and shrink a little.
const bufferStep = 64 << 10

// An inflater decompresses gzip into a buffer that it keeps.
type inflater struct {
	gz  gzip.Reader
	src bytes.Reader
	buf []byte
}

// IsGzip reports whether b begins like a gzip stream.
func IsGzip(b []byte) bool { return len(b) >= 2 && b[0] == 0x1f && b[1] == 0x8b }

// inflate decompresses all members of src, up to limit bytes in all. The
// result is good until the next call.
func (f *inflater) inflate(src []byte, limit int64) ([]byte, error) {
	f.src.Reset(src)
	defer f.src.Reset(nil)
	if err := f.gz.Reset(&f.src); err != nil {
		return nil, gzipError(err)
	}
	// One byte more than the trailer says, so that the end is seen without
	// growing; the trailer may lie, so it is believed only within reason.
	want := min(int64(binary.LittleEndian.Uint32(src[len(src)-4:])), limit, int64(len(src))*maxRatio) + 1
	if int64(cap(f.buf)) < want {
		f.buf = make([]byte, 0, (want+bufferStep-1)/bufferStep*bufferStep)
	}
	out := f.buf[:0]
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := f.gz.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		f.buf = out[:0]
		if int64(len(out)) > limit {
			return nil, tooLarge("decompressed", limit)
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, gzipError(err)
		}
	}
}

func gzipError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("gzip is cut off")
	case errors.Is(err, gzip.ErrChecksum):
		return malformed("gzip checksum or length does not match the data")
	case errors.Is(err, gzip.ErrHeader):
		return malformed("gzip header is broken or followed by junk")
	}
	return malformed("gzip is corrupt: %w", err)
}

func tooLarge(what string, limit int64) error {
	return fault.Reason(fault.TooLarge, "profile_size_limit", "%s profile is over the limit of %d bytes", what, limit)
}
