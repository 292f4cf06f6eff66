package wal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Stats tells what Replay found.
type Stats struct {
	Segments  int
	Records   int64 // handed out
	Bytes     int64 // of their payloads
	Corrupt   int64 // records left out, and headers damaged, with good records after them
	LostBytes int64 // of the corrupt ones
	TornBytes int64 // cut from the ends of segments
}

// Replay calls fn with every readable record in dir, in order (W1). The
// payload is only valid during the call. An error of fn ends the replay and is
// returned. A directory that does not exist is an empty log. Damage is no
// error, see Stats; a segment that cannot be read, or is of a version that is
// not known, is one.
func Replay(fsys vfs.FS, dir string, fn func(payload []byte) error) (Stats, error) {
	var stats Stats
	numbers, err := segments(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return stats, nil
	}
	if err != nil {
		return stats, err
	}
	r := reader{stats: &stats, fn: fn}
	for _, n := range numbers {
		if err := r.segment(fsys, filepath.Join(dir, segmentName(n)), n); err != nil {
			return stats, fmt.Errorf("wal segment %s: %w", segmentName(n), err)
		}
	}
	return stats, nil
}

// Exists reports whether dir holds a log: at least one segment, be it empty.
func Exists(fsys vfs.FS, dir string) (bool, error) {
	numbers, err := segments(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(numbers) > 0, err
}

// reader goes through one segment at a time.
type reader struct {
	stats *Stats
	fn    func(payload []byte) error
	in    window
}

func (r *reader) segment(fsys vfs.FS, name string, number uint32) (err error) {
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.Size()
	if err != nil {
		return err
	}
	r.stats.Segments++
	r.in.reset(file, size)
	if size < headerSize {
		r.stats.TornBytes += size
		return nil
	}
	sound, err := r.header(number)
	if err != nil {
		return err
	}
	before := r.stats.Records
	if err := r.records(); err != nil {
		return err
	}
	if !sound && r.stats.Records > before {
		r.stats.Corrupt++
	}
	return nil
}

// header tells whether the header of the segment is what it should be. If it
// is not, the records may be good all the same: they begin where they begin.
func (r *reader) header(number uint32) (sound bool, err error) {
	h, err := r.in.bytes(0, headerSize)
	if err != nil {
		return false, err
	}
	if string(h) == string(appendHeader(nil, number)) {
		return true, nil
	}
	const sumAt = headerSize - 4
	meant := string(h[:4]) == magic && crc32.Checksum(h[:sumAt], castagnoli) == byteOrder.Uint32(h[sumAt:])
	if v := byteOrder.Uint32(h[4:]); meant && v != version {
		return false, fault.New(fault.Unimplemented, "version %d, known is %d", v, version)
	}
	return false, nil
}

// records hands out the records after the header.
func (r *reader) records() error {
	for at := int64(headerSize); at < r.in.size; {
		payload, ok, err := r.record(at)
		if err != nil {
			return err
		}
		if ok {
			if err := r.fn(payload); err != nil {
				return err
			}
			r.stats.Records++
			r.stats.Bytes += int64(len(payload))
			at += frameSize + int64(len(payload))
			continue
		}
		next, skipped, err := r.skip(at)
		if err != nil {
			return err
		}
		if next == r.in.size {
			r.stats.TornBytes += next - at
		} else {
			r.stats.Corrupt += skipped
			r.stats.LostBytes += next - at
		}
		at = next
	}
	return nil
}

// record reads the record at an offset; ok tells whether there is a good one.
func (r *reader) record(at int64) (payload []byte, ok bool, err error) {
	next, sum, err := r.frame(at)
	if err != nil || next == 0 {
		return nil, false, err
	}
	payload, err = r.in.bytes(at+frameSize, next-at-frameSize)
	if err != nil {
		return nil, false, err
	}
	return payload, checksum(payload) == sum, nil
}

// frame reads the frame at an offset and returns where the next record would
// begin, 0 if the length cannot be true.
func (r *reader) frame(at int64) (next int64, sum uint32, err error) {
	if r.in.size-at < frameSize {
		return 0, 0, nil
	}
	b, err := r.in.bytes(at, frameSize)
	if err != nil {
		return 0, 0, err
	}
	length := int64(byteOrder.Uint32(b))
	if length > recordLimit || length > r.in.size-at-frameSize {
		return 0, 0, nil
	}
	return at + frameSize + length, byteOrder.Uint32(b[4:]), nil
}

// skip follows the lengths from a bad record to the next good one. It returns
// the end of the segment if there is none.
func (r *reader) skip(at int64) (next, skipped int64, err error) {
	for {
		at, _, err = r.frame(at)
		if err != nil {
			return 0, 0, err
		}
		skipped++
		if at == 0 || at == r.in.size {
			return r.in.size, skipped, nil
		}
		_, ok, err := r.record(at)
		if err != nil {
			return 0, 0, err
		}
		if ok {
			return at, skipped, nil
		}
	}
}

// window reads a file through a buffer that moves forward.
type window struct {
	file io.ReaderAt
	size int64
	buf  []byte
	from int64 // offset of buf in the file
}

// windowBytes is how much is read at once.
const windowBytes = 512 << 10

func (w *window) reset(file io.ReaderAt, size int64) {
	w.file, w.size, w.from, w.buf = file, size, 0, w.buf[:0]
}

// bytes returns n bytes at an offset; they must be inside the file, and are
// valid until the next call.
func (w *window) bytes(at, n int64) ([]byte, error) {
	if at < w.from || at+n > w.from+int64(len(w.buf)) {
		want := min(max(n, windowBytes), w.size-at)
		if int64(cap(w.buf)) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.from = w.buf[:want], at
		if read, err := w.file.ReadAt(w.buf, at); int64(read) < want {
			w.buf = w.buf[:0]
			return nil, fmt.Errorf("read at %d: %w", at, err)
		}
	}
	return w.buf[at-w.from:][:n:n], nil
}
