package vfs

import (
	"golang.org/x/sys/windows"
)

// Space implements FS. Quotas of the user count.
func (OS) Space(name string) (Space, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return Space{}, pathError("space", name, err)
	}
	var free, total uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, &total, nil); err != nil {
		return Space{}, pathError("space", name, err)
	}
	return Space{Total: int64(total), Free: int64(free)}, nil
}
