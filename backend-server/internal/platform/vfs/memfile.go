package vfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
)

var errMode = errors.New("file not open for this")

// memFile is a handle. Its node outlives the name, as on a real disk.
type memFile struct {
	fs       *Mem
	node     *node
	name     string
	pos      int // of Read
	writable bool
	closed   bool
}

func (f *memFile) usable(op string) error {
	if f.closed {
		return pathError(op, f.name, fs.ErrClosed)
	}
	return nil
}

// Read implements File.
func (f *memFile) Read(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	if f.writable {
		return 0, pathError("read", f.name, errMode)
	}
	if f.pos >= len(f.node.data) && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[min(f.pos, len(f.node.data)):])
	f.pos += n
	return n, nil
}

// ReadAt implements File.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	n := copy(p, f.node.data[min(off, int64(len(f.node.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Write implements File.
func (f *memFile) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("write"); err != nil {
		return 0, err
	}
	if !f.writable {
		return 0, pathError("write", f.name, errMode)
	}
	if limit := f.fs.capacity; limit > 0 {
		if room := max(0, limit-f.fs.root.size()); int64(len(p)) > room {
			f.node.data = append(f.node.data, p[:room]...)
			return int(room), pathError("write", f.name, syscall.ENOSPC)
		}
	}
	f.node.data = append(f.node.data, p...)
	return len(p), nil
}

// Sync implements File.
func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("sync"); err != nil {
		return err
	}
	f.node.synced, f.node.emptied = f.node.data, false
	return nil
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), f.usable("stat")
}

// Close implements File. It syncs nothing.
func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.usable("close")
	f.closed = true
	return err
}
