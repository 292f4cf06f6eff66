// Package filelock keeps a second process away from a folder.
//
// The lock is the operating system's: it ends with the process, however that
// ends, so there is never a stale one to remove by hand.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ErrHeld is in the chain of Acquire's error when another process, or another
// lock of this process, holds the file.
var ErrHeld = errors.New("held by another process")

// Lock is a held lock.
type Lock struct{ f *os.File }

// Acquire locks the file name, which it makes if it does not exist. It does
// not wait. The file holds the process ID of the holder, for people.
func Acquire(name string) (*Lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if err := lock(f); err != nil {
		holder := readHolder(name)
		_ = f.Close()
		return nil, fmt.Errorf("lock file %s%s: %w", name, holder, err)
	}
	// What is written is a help for people; the lock holds without it.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Lock{f}, nil
}

func readHolder(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// Release gives the lock back. The file stays.
func (l *Lock) Release() error { return l.f.Close() }
