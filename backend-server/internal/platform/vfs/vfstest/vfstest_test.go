package vfstest

import (
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// TestWatch finds a replacement half done if and only if it is done badly.
func TestWatch(t *testing.T) {
	replace := map[string]func(fsys vfs.FS, name string, data []byte) error{
		"atomic":   vfs.WriteFileAtomic,
		"in place": vfs.WriteFile,
	}
	for name, write := range replace {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			acked := ""
			w := Watch(mem, 10, func() string { return acked })
			for _, data := range []string{"old", "new"} {
				require.NoError(t, write(w.FS(), "f", []byte(data)))
				acked = data
			}
			allowed := map[string][]string{"": {"missing", "old"}, "old": {"old", "new"}, "new": {"new"}}
			lost := 0
			cuts := w.Cuts()
			for _, cut := range cuts {
				found := "missing"
				if b, err := vfs.ReadFile(cut.FS, "f"); err == nil {
					found = string(b)
				}
				if !slices.Contains(allowed[cut.Note], found) {
					lost++
				}
			}
			if name == "atomic" {
				require.Len(t, cuts, (5+5+1)*10)
				require.Zero(t, lost)
			} else {
				require.Positive(t, lost)
			}
		})
	}
}

func TestEveryFault(t *testing.T) {
	var steps []string
	EveryFault(t, syscall.EIO, func(t *testing.T, mem *vfs.Mem, fsys vfs.FS, fault *Fault) {
		require.NoError(t, vfs.WriteFileAtomic(mem, "f", []byte("old")))
		err := vfs.WriteFileAtomic(fsys, "f", []byte("new"))
		steps = append(steps, fault.Step())
		if fault.Hit() {
			require.ErrorIs(t, err, syscall.EIO)
		} else {
			require.NoError(t, err)
		}
	})
	require.Equal(t, []string{
		"1: create f.tmp", "2: write f.tmp", "3: sync f.tmp", "4: rename f.tmp", "5: sync dir .", "",
	}, steps)
}
