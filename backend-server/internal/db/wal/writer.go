package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// writer appends to the newest segment. It is used by one goroutine at a time
// and not after an error, save for close.
type writer struct {
	fs   vfs.FS
	dir  string
	opts Options
	size *atomic.Int64 // of all segments

	file   vfs.File
	number uint32
	length int64
	dirty  bool // something is written that is not synced
	failed bool
}

// open makes the directory and begins the segment after the last. The last one
// it syncs: if only the process died, it may hold records that Replay finds
// and a power cut would still take, and the owner counts on them from now on.
// Those before it were synced by the Open that came after them.
func (w *writer) open() error {
	if err := vfs.MakeDir(w.fs, w.dir); err != nil {
		return err
	}
	numbers, err := segments(w.fs, w.dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		info, err := w.fs.Stat(filepath.Join(w.dir, segmentName(n)))
		if err != nil {
			return fmt.Errorf("segment: %w", err)
		}
		w.size.Add(info.Size)
		w.number = n
	}
	if len(numbers) > 0 {
		if err := syncSegment(w.fs, filepath.Join(w.dir, segmentName(w.number))); err != nil {
			return err
		}
	}
	return w.begin()
}

func syncSegment(fsys vfs.FS, name string) error {
	file, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("last segment: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("last segment: %w", err)
	}
	return nil
}

// begin makes the next segment. Its name is durable then (D3), its header
// only after the next sync: a segment without one is an empty one.
func (w *writer) begin() error {
	w.number++
	file, err := w.fs.Create(filepath.Join(w.dir, segmentName(w.number)))
	if err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	w.file, w.length = file, 0
	err = w.append(appendHeader(nil, w.number))
	if err == nil {
		err = w.fs.SyncDir(w.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("new segment: %w", err), file.Close())
	}
	w.opts.Events.Rotated(w.number)
	return nil
}

// write appends framed records, to a new segment if this one is full.
func (w *writer) write(records []byte) error {
	if w.length >= w.opts.SegmentBytes {
		if err := w.end(); err != nil {
			return err
		}
		if err := w.begin(); err != nil {
			w.failed = true
			return err
		}
	}
	return w.append(records)
}

func (w *writer) append(b []byte) error {
	w.dirty = true
	n, err := w.file.Write(b)
	w.length += int64(n)
	w.size.Add(int64(n))
	if err != nil {
		w.failed = true
		return fmt.Errorf("segment write: %w", err)
	}
	return nil
}

func (w *writer) sync() error {
	if !w.dirty {
		return nil
	}
	start := time.Now()
	if err := w.file.Sync(); err != nil {
		w.failed = true
		return fmt.Errorf("segment sync: %w", err)
	}
	w.dirty = false
	w.opts.Events.Synced(time.Since(start))
	return nil
}

// end syncs and closes the segment.
func (w *writer) end() error {
	if err := w.sync(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		w.failed = true
		return fmt.Errorf("segment close: %w", err)
	}
	return nil
}

// close ends the last segment; after a failure it only lets go of the file.
func (w *writer) close() error {
	if w.failed {
		w.file.Close() // it may be closed already, and its bytes are given up
		return nil
	}
	return w.end()
}
