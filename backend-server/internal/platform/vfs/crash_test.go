package vfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// outcomes cuts the power many times and collects what show makes of the
// file system afterwards.
func outcomes(m *Mem, show func(m *Mem) string) map[string]bool {
	found := map[string]bool{}
	for seed := range uint64(500) {
		found[show(m.CrashClone(rand.New(rand.NewPCG(seed, 0))))] = true
	}
	return found
}

func content(name string) func(m *Mem) string {
	return func(m *Mem) string {
		b, err := ReadFile(m, name)
		if err != nil {
			return "missing"
		}
		return strings.ReplaceAll(string(b), "\x00", "0")
	}
}

func set(values ...string) map[string]bool {
	s := map[string]bool{}
	for _, v := range values {
		s[v] = true
	}
	return s
}

func TestCrashTearsUnsyncedBytes(t *testing.T) {
	m := NewMem()
	f, err := m.Create("f")
	require.NoError(t, err)
	require.NoError(t, m.SyncDir("/"))
	must(t)(f.Write([]byte("ab")))
	require.NoError(t, f.Sync())
	require.Equal(t, set("ab"), outcomes(m, content("f")))
	must(t)(f.Write([]byte("cd")))
	require.Equal(t, set("ab", "abc", "abcd", "ab00", "abc0"), outcomes(m, content("f")))
	require.NoError(t, f.Close())
	require.Equal(t, set("ab", "abc", "abcd", "ab00", "abc0"), outcomes(m, content("f")), "closing syncs nothing")
}

func TestCrashAfterEmptying(t *testing.T) {
	m := NewMem()
	require.NoError(t, WriteFile(m, "f", []byte("old")))
	require.NoError(t, m.SyncDir("/"))
	f, err := m.Create("f")
	require.NoError(t, err)
	require.Equal(t, set("old", ""), outcomes(m, content("f")))
	must(t)(f.Write([]byte("x")))
	require.Equal(t, set("old", "", "x", "0"), outcomes(m, content("f")))
	require.NoError(t, f.Sync())
	require.Equal(t, set("x"), outcomes(m, content("f")))
}

func TestCrashLosesUnsyncedNames(t *testing.T) {
	m := NewMem()
	show := func(m *Mem) string {
		names, err := m.List("/")
		require.NoError(t, err)
		return strings.Join(names, " ")
	}
	require.NoError(t, WriteFile(m, "a", []byte("x")))
	require.Equal(t, set("", "a"), outcomes(m, show))
	require.NoError(t, m.SyncDir("/"))
	require.Equal(t, set("a"), outcomes(m, show))
	require.NoError(t, m.Rename("a", "b"))
	require.Equal(t, set("a", "b"), outcomes(m, show), "a rename is never half done")
	require.NoError(t, m.SyncDir("/"))
	require.NoError(t, m.Remove("b"))
	require.Equal(t, set("b", ""), outcomes(m, show))
	require.NoError(t, WriteFile(m, "c", nil))
	require.Equal(t, set("b", "", "c", "b c"), outcomes(m, show), "in no order")
	require.NoError(t, m.SyncDir("/"))
	require.Equal(t, set("c"), outcomes(m, show))
}

func TestCrashCloneRepeatsAndIsApart(t *testing.T) {
	m := NewMem()
	for i := range 20 {
		require.NoError(t, m.MkdirAll("d"))
		f, err := m.Create(fmt.Sprint("d/", i))
		require.NoError(t, err)
		must(t)(f.Write([]byte("content")))
	}
	require.NoError(t, m.SyncDir("/"))
	tree := func(m *Mem) (all string) {
		names, err := m.List("d")
		require.NoError(t, err)
		for _, name := range names {
			all += name + "=" + content("d/"+name)(m) + " "
		}
		return all
	}
	clone := m.CrashClone(rand.New(rand.NewPCG(1, 1)))
	require.Equal(t, tree(clone), tree(m.CrashClone(rand.New(rand.NewPCG(1, 1)))))
	require.Equal(t, tree(clone), tree(clone.CrashClone(rand.New(rand.NewPCG(2, 2)))), "what is found is durable")

	before := tree(m)
	require.NoError(t, clone.RemoveAll("d"))
	require.Equal(t, before, tree(m))
}

func TestMakeDirSurvives(t *testing.T) {
	m := NewMem()
	require.NoError(t, MakeDir(m, "a/b/c"))
	require.Equal(t, set("true"), outcomes(m, func(m *Mem) string {
		ok, err := Exists(m, "a/b/c")
		require.NoError(t, err)
		return fmt.Sprint(ok)
	}))
}

// TestWriteFileAtomicAtEveryStep cuts the power before each step of a
// replacement, and fails each step.
func TestWriteFileAtomicAtEveryStep(t *testing.T) {
	for step := range 6 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			m := NewMem()
			require.NoError(t, WriteFileAtomic(m, "f", []byte("old")))
			found := map[string]bool{}
			n := 0
			fsys := WithFaults(m, func(op Op, _ string) error {
				if !op.Changes() {
					return nil
				}
				if n++; n != step+1 {
					return nil
				}
				found = outcomes(m, content("f"))
				return syscall.ENOSPC
			})
			err := WriteFileAtomic(fsys, "f", []byte("new"))
			if step == 5 { // past the last
				require.NoError(t, err)
				require.Equal(t, 5, n)
				require.Equal(t, set("new"), outcomes(m, content("f")))
				return
			}
			require.ErrorIs(t, err, syscall.ENOSPC)
			delete(found, "old")
			if step == 4 {
				require.Equal(t, set("new"), found, "renamed, but the directory is not synced")
				return
			}
			require.Empty(t, found)
			requireFile(t, m, "f", "old")
			requireMissing(t, m, "f"+TempSuffix)
		})
	}
}

func TestFailingWriteLeavesHalf(t *testing.T) {
	m := NewMem()
	full := errors.New("full")
	fsys := WithFaults(m, func(op Op, name string) error {
		if op == OpWrite && name == "f" {
			return full
		}
		return nil
	})
	f, err := fsys.Create("f")
	require.NoError(t, err)
	n, err := f.Write([]byte("abcd"))
	require.Equal(t, 2, n)
	require.ErrorIs(t, err, full)
	requireFile(t, m, "f", "ab")
	require.NoError(t, f.Close())
}

func must(t *testing.T) func(int, error) {
	return func(_ int, err error) {
		t.Helper()
		require.NoError(t, err)
	}
}
