package tests

import (
	"os"
	"testing"
)

// oldBinary names a server of an earlier version that knows clusters.
const oldBinary = "HEARTH_TEST_OLD_BINARY"

// TestRollingUpdate replaces the processes of a cluster of an earlier version,
// one after the other, by those of this one, and then goes back.
func TestRollingUpdate(t *testing.T) {
	short(t)
	t.Parallel()
	old := os.Getenv(oldBinary)
	if old == "" {
		t.Logf("!! ROLLING UPDATES ARE NOT TESTED: set %s to a server of an earlier version, such as that of the last commit", oldBinary)
		t.Skip("no earlier version")
	}
	f := emptyFleet(t, newLoopback(t), roles)
	for _, m := range f.members {
		m.binary = old
	}
	f.bringUp()
	d := newDisturbed(t, f)
	d.while("all processes are replaced by ones of a later version, one after the other", func() { d.replace(binary) })
	d.while("all processes are replaced by ones of an earlier version, one after the other", func() { d.replace(old) })
	d.inBlocks()
}

// replace restarts every member with another server.
func (d *disturbed) replace(by string) {
	d.t.Helper()
	for _, m := range d.members {
		m.binary = by
		m.restart()
		d.settle()
	}
}
