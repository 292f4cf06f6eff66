//go:build !linux && !darwin && !freebsd && !windows

package vfs

import "errors"

// Space implements FS: there is no such call that all these systems share.
func (OS) Space(name string) (Space, error) {
	return Space{}, pathError("space", name, errors.ErrUnsupported)
}
