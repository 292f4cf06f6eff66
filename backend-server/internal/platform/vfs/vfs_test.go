package vfs

import (
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestContract holds every file system to what FS and File say.
func TestContract(t *testing.T) {
	memory := func(t *testing.T) (FS, string) {
		m := NewMem()
		require.NoError(t, m.MkdirAll("/root"))
		return m, "/root"
	}
	implementations := map[string]func(t *testing.T) (FS, string){
		"os":  func(t *testing.T) (FS, string) { return OS{}, t.TempDir() },
		"mem": memory,
		"faults": func(t *testing.T) (FS, string) {
			m, root := memory(t)
			return WithFaults(m, func(Op, string) error { return nil }), root
		},
	}
	cases := map[string]func(t *testing.T, fsys FS, root string){
		"write and read":       writeAndRead,
		"create empties":       createEmpties,
		"missing":              missing,
		"rename":               rename,
		"rename a directory":   renameDir,
		"remove":               remove,
		"remove all":           removeAll,
		"list":                 list,
		"open files outlive":   openFilesOutlive,
		"make dir":             makeDir,
		"write file atomic":    writeFileAtomic,
		"directory is no file": directoryIsNoFile,
		"space":                space,
	}
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			for name, check := range cases {
				t.Run(name, func(t *testing.T) {
					fsys, root := open(t)
					check(t, fsys, root)
				})
			}
		})
	}
}

func write(t *testing.T, fsys FS, name, data string) {
	t.Helper()
	require.NoError(t, WriteFile(fsys, name, []byte(data)))
}

func requireFile(t *testing.T, fsys FS, name, want string) {
	t.Helper()
	got, err := ReadFile(fsys, name)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func requireMissing(t *testing.T, fsys FS, name string) {
	t.Helper()
	_, err := fsys.Stat(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func writeAndRead(t *testing.T, fsys FS, root string) {
	name := filepath.Join(root, "f")
	f, err := fsys.Create(name)
	require.NoError(t, err)
	for _, part := range []string{"abc", "", "defgh"} {
		n, err := f.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	require.NoError(t, f.Sync())
	size, err := f.Size()
	require.NoError(t, err)
	require.EqualValues(t, 8, size)
	p := make([]byte, 3)
	_, err = f.ReadAt(p, 4)
	require.NoError(t, err)
	require.Equal(t, "efg", string(p))
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Sync(), fs.ErrClosed)

	f, err = fsys.Open(name)
	require.NoError(t, err)
	all, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "abcdefgh", string(all))
	n, err := f.ReadAt(make([]byte, 4), 6)
	require.Equal(t, 2, n)
	require.ErrorIs(t, err, io.EOF)
	n, err = f.ReadAt(make([]byte, 4), 100)
	require.Zero(t, n)
	require.ErrorIs(t, err, io.EOF)
	_, err = f.Write([]byte("x"))
	require.Error(t, err, "opened for reading")
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())

	info, err := fsys.Stat(name)
	require.NoError(t, err)
	require.Equal(t, Info{Size: 8}, info)
}

func createEmpties(t *testing.T, fsys FS, root string) {
	name := filepath.Join(root, "f")
	write(t, fsys, name, "long content")
	write(t, fsys, name, "short")
	requireFile(t, fsys, name, "short")
}

func missing(t *testing.T, fsys FS, root string) {
	name := filepath.Join(root, "nothing")
	_, err := fsys.Open(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fsys.Create(filepath.Join(name, "f"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fsys.List(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = ReadFile(fsys, name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, fsys.Remove(name), fs.ErrNotExist)
	require.ErrorIs(t, fsys.SyncDir(name), fs.ErrNotExist)
	require.ErrorIs(t, fsys.Rename(name, name+"2"), fs.ErrNotExist)
	requireMissing(t, fsys, name)
	ok, err := Exists(fsys, name)
	require.NoError(t, err)
	require.False(t, ok)
}

func rename(t *testing.T, fsys FS, root string) {
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	write(t, fsys, a, "new")
	write(t, fsys, b, "old")
	require.NoError(t, fsys.Rename(a, b))
	requireFile(t, fsys, b, "new")
	requireMissing(t, fsys, a)
	require.ErrorIs(t, fsys.Rename(b, filepath.Join(root, "no", "b")), fs.ErrNotExist)
	requireFile(t, fsys, b, "new")
}

func renameDir(t *testing.T, fsys FS, root string) {
	from, to := filepath.Join(root, "x", "from"), filepath.Join(root, "y", "to")
	require.NoError(t, fsys.MkdirAll(from))
	require.NoError(t, fsys.MkdirAll(filepath.Dir(to)))
	write(t, fsys, filepath.Join(from, "f"), "content")
	require.NoError(t, fsys.Rename(from, to))
	requireFile(t, fsys, filepath.Join(to, "f"), "content")
	requireMissing(t, fsys, from)

	full := filepath.Join(root, "full")
	require.NoError(t, fsys.MkdirAll(full))
	write(t, fsys, filepath.Join(full, "g"), "")
	require.Error(t, fsys.Rename(to, full), "a directory that is not empty is not replaced")
	write(t, fsys, filepath.Join(root, "file"), "")
	require.Error(t, fsys.Rename(filepath.Join(root, "file"), full))
}

func remove(t *testing.T, fsys FS, root string) {
	dir := filepath.Join(root, "dir")
	name := filepath.Join(dir, "f")
	require.NoError(t, fsys.MkdirAll(dir))
	write(t, fsys, name, "x")
	require.Error(t, fsys.Remove(dir), "not empty")
	require.NoError(t, fsys.Remove(name))
	requireMissing(t, fsys, name)
	require.NoError(t, fsys.Remove(dir))
	requireMissing(t, fsys, dir)
}

func removeAll(t *testing.T, fsys FS, root string) {
	dir := filepath.Join(root, "a")
	require.NoError(t, fsys.MkdirAll(filepath.Join(dir, "b", "c")))
	write(t, fsys, filepath.Join(dir, "b", "f"), "x")
	require.NoError(t, fsys.RemoveAll(dir))
	requireMissing(t, fsys, dir)
	require.NoError(t, fsys.RemoveAll(dir))
}

func list(t *testing.T, fsys FS, root string) {
	names, err := fsys.List(root)
	require.NoError(t, err)
	require.Empty(t, names)
	for _, name := range []string{"b", "a", "c"} {
		write(t, fsys, filepath.Join(root, name), "")
	}
	require.NoError(t, fsys.MkdirAll(filepath.Join(root, "aa", "deeper")))
	names, err = fsys.List(root)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "aa", "b", "c"}, names)
	_, err = fsys.List(filepath.Join(root, "a"))
	require.Error(t, err)
}

func openFilesOutlive(t *testing.T, fsys FS, root string) {
	name := filepath.Join(root, "f")
	write(t, fsys, name, "old")
	f, err := fsys.Open(name)
	require.NoError(t, err)
	require.NoError(t, WriteFileAtomic(fsys, name, []byte("new")))
	require.NoError(t, fsys.Remove(name))
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "old", string(b))
	require.NoError(t, f.Close())
}

func makeDir(t *testing.T, fsys FS, root string) {
	dir := filepath.Join(root, "a", "b", "c")
	require.NoError(t, MakeDir(fsys, dir))
	require.NoError(t, MakeDir(fsys, dir))
	require.NoError(t, fsys.SyncDir(dir))
	info, err := fsys.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, Info{Dir: true}, info)
	write(t, fsys, filepath.Join(root, "f"), "")
	require.Error(t, MakeDir(fsys, filepath.Join(root, "f", "d")))
}

func writeFileAtomic(t *testing.T, fsys FS, root string) {
	name := filepath.Join(root, "f")
	for _, data := range []string{"first", "second", ""} {
		require.NoError(t, WriteFileAtomic(fsys, name, []byte(data)))
		requireFile(t, fsys, name, data)
		names, err := fsys.List(root)
		require.NoError(t, err)
		require.Equal(t, []string{"f"}, names)
	}
	require.Error(t, WriteFileAtomic(fsys, filepath.Join(root, "no", "f"), nil))
}

func directoryIsNoFile(t *testing.T, fsys FS, root string) {
	_, err := fsys.Create(root)
	require.Error(t, err)
	_, err = ReadFile(fsys, root)
	require.Error(t, err)
	name := filepath.Join(root, "f")
	write(t, fsys, name, "")
	_, err = fsys.Create(filepath.Join(name, "g"))
	require.Error(t, err)
	require.Error(t, fsys.MkdirAll(name))
}

func space(t *testing.T, fsys FS, root string) {
	s, err := fsys.Space(root)
	require.NoError(t, err)
	require.Positive(t, s.Total)
	require.LessOrEqual(t, s.Free, s.Total)
	_, err = fsys.Space(filepath.Join(root, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestCapacity(t *testing.T) {
	m := NewMem()
	m.SetCapacity(10)
	f, err := m.Create("f")
	require.NoError(t, err)
	_, err = f.Write([]byte("1234567"))
	require.NoError(t, err)
	n, err := f.Write([]byte("89abcd"))
	require.Equal(t, 3, n)
	require.ErrorIs(t, err, syscall.ENOSPC)
	requireFile(t, m, "f", "123456789a")
	s, err := m.Space("/")
	require.NoError(t, err)
	require.Equal(t, Space{Total: 10}, s)

	require.NoError(t, m.Remove("f"))
	write(t, m, "g", "abc")
	s, err = m.Space("g")
	require.NoError(t, err)
	require.Equal(t, Space{Total: 10, Free: 7}, s)
	m.SetCapacity(0)
	write(t, m, "h", "more than ten bytes")
}
