// Package vfs is the seam between the engine and the file system.
//
// # Why
//
// What a database promises after a power cut cannot be tested on a real disk:
// the kernel keeps what was never synced. Everything below internal/db
// therefore writes through an FS, and tests put an in-memory one there that
// forgets exactly what a disk may forget (Mem.CrashClone), or one that fails
// on command (WithFaults).
//
// # Layout
//
//	vfs.go     FS, File and the helpers made of them
//	os.go      OS, the real file system
//	space_*.go how full a volume is
//	mem.go     Mem, the in-memory one
//	memfile.go its open files
//	crash.go   Mem.CrashClone: the state after a power cut
//	faults.go  WithFaults: errors on command
//
// # Invariants
//
// (D1) The bytes of a file are durable once File.Sync has returned nil after
// they were written; before that any prefix of them may survive, or none.
//
// (D2) A directory entry (made, renamed or removed) is durable once
// SyncDir of its directory has returned nil; before that either the old or
// the new entry may be found. A rename inside one directory is never half done.
//
// (D3) D1 and D2 are independent: a synced file in an unsynced directory can
// vanish whole, and a synced name can lead to a torn file.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// FS is a file system. Names are paths as package filepath understands them.
// It is wider than our interfaces usually are because a file system is: each
// method is one system call or one line over it. All methods may be called
// concurrently. A missing file or directory is an error that satisfies
// errors.Is(err, fs.ErrNotExist).
type FS interface {
	// Create makes a file, or empties the one that is there, and opens it for
	// Write, ReadAt, Sync, Size and Close. Its directory must exist.
	Create(name string) (File, error)
	// Open opens a file for Read, ReadAt, Sync, Size and Close. Sync is for
	// what an earlier process may have written and not synced.
	Open(name string) (File, error)
	// Rename moves a file or directory, replacing a file at the new name.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// RemoveAll removes a tree; one that does not exist is no error.
	RemoveAll(name string) error
	// MkdirAll makes a directory and its parents; one that exists is no error.
	// See MakeDir for one that survives a power cut.
	MkdirAll(name string) error
	// List returns the names in a directory, sorted, without the directory.
	List(name string) ([]string, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// SyncDir makes the entries of a directory durable (D2).
	SyncDir(name string) error
	// Space tells how full the volume is that holds the file or directory. An
	// error that satisfies errors.Is(err, errors.ErrUnsupported) means that the
	// system does not tell.
	Space(name string) (Space, error)
}

// Space is the size of a volume in bytes, and what of it this process may
// still write.
type Space struct{ Total, Free int64 }

// File is an open file. Writes append; there is no seeking. ReadAt may be
// called concurrently with everything but Close, the rest is for one
// goroutine at a time.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes everything written so far durable (D1). After an error the
	// state of the file is unknown: a second Sync that succeeds proves nothing.
	Sync() error
	// Size is the current length in bytes.
	Size() (int64, error)
}

// Info is what Stat tells.
type Info struct {
	Size int64 // bytes; 0 for a directory
	Dir  bool
}

// Exists tells whether there is a file or directory of that name.
func Exists(fsys FS, name string) (bool, error) {
	switch _, err := fsys.Stat(name); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

// MakeDir makes a directory and its parents so that they survive a power cut.
func MakeDir(fsys FS, name string) error {
	// The parent first, even when the directory is there: whoever made it may
	// have failed before the sync. Then those of missing directories, upwards.
	parents := []string{filepath.Dir(filepath.Clean(name))}
	for dir := filepath.Clean(name); ; dir = filepath.Dir(dir) {
		ok, err := Exists(fsys, dir)
		if err != nil {
			return fmt.Errorf("directory %s: %w", dir, err)
		}
		if ok || dir == filepath.Dir(dir) {
			break
		}
		if parent := filepath.Dir(dir); parent != parents[len(parents)-1] {
			parents = append(parents, parent)
		}
	}
	if err := fsys.MkdirAll(name); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	for _, dir := range parents {
		if err := fsys.SyncDir(dir); err != nil {
			return fmt.Errorf("directory sync: %w", err)
		}
	}
	return nil
}

// ReadFile returns the content of a file.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("file %s: %d of %d bytes: %w", name, n, size, err)
	}
	return b, nil
}

// WriteFile writes a new file and syncs it; the name is durable only after
// SyncDir of its directory.
func WriteFile(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("file %s: %w", name, err)
	}
	return nil
}

// TempSuffix ends the name of a file that WriteFileAtomic has not finished.
// One that is found at start is rubbish from a crash.
const TempSuffix = ".tmp"

// WriteFileAtomic makes or replaces a file so that after a power cut it holds
// either what it held before or data, and data once it has returned nil.
// Two writers of the same name must not run at once.
func WriteFileAtomic(fsys FS, name string, data []byte) error {
	temp := name + TempSuffix
	err := WriteFile(fsys, temp, data)
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(fsys.Remove(temp)))
	}
	return fsys.SyncDir(filepath.Dir(name))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
