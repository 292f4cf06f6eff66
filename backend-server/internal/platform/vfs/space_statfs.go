//go:build linux || darwin || freebsd

package vfs

import (
	"golang.org/x/sys/unix"
)

// Space implements FS. What is reserved for the superuser does not count as
// free.
func (OS) Space(name string) (Space, error) {
	var s unix.Statfs_t
	for {
		err := unix.Statfs(name, &s)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Space{}, pathError("statfs", name, err)
		}
	}
	block := int64(s.Bsize)
	return Space{Total: int64(s.Blocks) * block, Free: int64(s.Bavail) * block}, nil
}
