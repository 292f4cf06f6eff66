package cache

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

const dir = "data/cache"

func key(block string, offset int64, size int) Key {
	return Key{Tenant: "team-a", Block: block, Offset: offset, Size: int64(size)}
}

func content(n int, with byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = with + byte(i)
	}
	return p
}

// get returns what the cache has of a part, or nil.
func get(d *Disk, k Key) []byte {
	p := make([]byte, k.Size)
	if !d.Get(k, p) {
		return nil
	}
	return p
}

func TestWhatIsPutIsThereAfterARestart(t *testing.T) {
	mem := vfs.NewMem()
	d := OpenDisk(mem, dir, 1<<20)
	a, b := key("A", 0, 100), key("A", 100, 5000)
	require.Nil(t, get(d, a))
	require.NoError(t, d.Put(a, content(100, 1)))
	require.NoError(t, d.Put(b, content(5000, 2)))
	require.Nil(t, get(d, key("A", 0, 99)), "another part")
	for range 2 {
		require.Equal(t, content(100, 1), get(d, a))
		require.Equal(t, content(5000, 2), get(d, b))
		require.Equal(t, int64(3*pageSize), d.Bytes())
		d = OpenDisk(mem, dir, 1<<20)
	}
}

func TestBrokenFilesAreMissesAndGo(t *testing.T) {
	k := key("A", 7, 100)
	path := filepath.Join(dir, k.file())
	for name, breakIt := range map[string]func(t *testing.T, fs vfs.FS, whole []byte){
		"a bit":   func(t *testing.T, fs vfs.FS, b []byte) { b[50] ^= 1; require.NoError(t, vfs.WriteFile(fs, path, b)) },
		"the sum": func(t *testing.T, fs vfs.FS, b []byte) { b[101] ^= 1; require.NoError(t, vfs.WriteFile(fs, path, b)) },
		"the end": func(t *testing.T, fs vfs.FS, b []byte) { require.NoError(t, vfs.WriteFile(fs, path, b[:99])) },
		"all":     func(t *testing.T, fs vfs.FS, _ []byte) { require.NoError(t, fs.Remove(path)) },
		"another": func(t *testing.T, fs vfs.FS, b []byte) {
			other := OpenDisk(fs, dir, 1<<20)
			require.NoError(t, other.Put(key("B", 7, 100), content(100, 9)))
			require.NoError(t, fs.Rename(filepath.Join(dir, key("B", 7, 100).file()), path))
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, restart), func(t *testing.T) {
				mem := vfs.NewMem()
				d := OpenDisk(mem, dir, 1<<20)
				require.NoError(t, d.Put(k, content(100, 1)))
				whole, err := vfs.ReadFile(mem, path)
				require.NoError(t, err)
				breakIt(t, mem, whole)
				if restart {
					d = OpenDisk(mem, dir, 1<<20)
				}
				require.Nil(t, get(d, k))
				require.Zero(t, d.Bytes())
				there, err := vfs.Exists(mem, path)
				require.NoError(t, err)
				require.False(t, there)
				require.NoError(t, d.Put(k, content(100, 1)))
				require.Equal(t, content(100, 1), get(d, k))
			})
		}
	}
}

func TestTheLimitHoldsAndWhatWasUsedStays(t *testing.T) {
	mem := vfs.NewMem()
	d := OpenDisk(mem, dir, 10*pageSize)
	for i := range 10 {
		require.NoError(t, d.Put(key("A", int64(i), 10), content(10, byte(i))))
	}
	require.NotNil(t, get(d, key("A", 0, 10)))
	require.NoError(t, d.Put(key("B", 0, 2*pageSize-4), content(2*pageSize-4, 1)))
	require.Equal(t, int64(10*pageSize), d.Bytes())
	require.NotNil(t, get(d, key("A", 0, 10)))
	require.Nil(t, get(d, key("A", 1, 10)))
	require.Nil(t, get(d, key("A", 2, 10)))
	require.NotNil(t, get(d, key("A", 3, 10)))
	require.NoError(t, d.Put(key("C", 0, 11*pageSize), content(11*pageSize, 1)))
	require.Nil(t, get(d, key("C", 0, 11*pageSize)), "more than all that may be")
	require.NotNil(t, get(d, key("A", 3, 10)))

	d = OpenDisk(mem, dir, 2*pageSize)
	require.Equal(t, int64(2*pageSize), d.Bytes())
	require.NotNil(t, get(d, key("B", 0, 2*pageSize-4)), "of the younger block")
	require.Zero(t, OpenDisk(mem, dir, 0).Bytes())
	names, err := mem.List(filepath.Join(dir, "team-a"))
	require.NoError(t, err)
	require.Empty(t, names)
}

// A disk that does not take anything is a cache without entries, and it is left
// alone for a while.
func TestFailingDisk(t *testing.T) {
	for _, broken := range []vfs.Op{vfs.OpCreate, vfs.OpWrite, vfs.OpRename, vfs.OpMkdirAll} {
		synctest.Test(t, func(t *testing.T) {
			mem, failing, tried := vfs.NewMem(), true, 0
			d := OpenDisk(vfs.WithFaults(mem, func(op vfs.Op, _ string) error {
				if op == broken {
					if tried++; failing {
						return errors.New("no room")
					}
				}
				return nil
			}), dir, 1<<20)
			k := key("A", 0, 100)
			require.Error(t, d.Put(k, content(100, 1)))
			require.Nil(t, get(d, k))
			require.NoError(t, d.Put(k, content(100, 1)), "not tried")
			require.Equal(t, 1, tried)
			failing = false
			time.Sleep(pauseAfter)
			require.NoError(t, d.Put(k, content(100, 1)))
			require.Equal(t, content(100, 1), get(d, k))
		})
	}
}

func TestRetain(t *testing.T) {
	mem := vfs.NewMem()
	d := OpenDisk(mem, dir, 1<<20)
	for _, b := range []string{"A", "B", "C"} {
		require.NoError(t, d.Put(key(b, 0, 10), content(10, 1)))
		require.NoError(t, d.Put(key(b, 10, 10), content(10, 1)))
	}
	d.Retain(func(tenant, block string) bool { return tenant == "team-a" && block == "B" })
	require.Nil(t, get(d, key("A", 0, 10)))
	require.NotNil(t, get(d, key("B", 10, 10)))
	require.Equal(t, int64(2*pageSize), d.Bytes())
	names, err := mem.List(filepath.Join(dir, "team-a"))
	require.NoError(t, err)
	require.Equal(t, []string{"B"}, names)
}

// What is not the cache's is cleared away, half-written files too.
func TestLeftovers(t *testing.T) {
	mem := vfs.NewMem()
	d := OpenDisk(mem, dir, 1<<20)
	require.NoError(t, d.Put(key("A", 0, 10), content(10, 1)))
	for _, name := range []string{"0-a.tmp", "x", "5-", "-5", "1-2-3"} {
		require.NoError(t, vfs.WriteFile(mem, filepath.Join(dir, "team-a", "A", name), content(14, 1)))
	}
	d = OpenDisk(mem, dir, 1<<20)
	require.Equal(t, int64(pageSize), d.Bytes())
	names, err := mem.List(filepath.Join(dir, "team-a", "A"))
	require.NoError(t, err)
	require.Equal(t, []string{"0-a"}, names)
}

// Whatever a file holds, what comes out is what was put, or nothing.
func FuzzFile(f *testing.F) {
	k, p := key("A", 3, 8), content(8, 1)
	mem := vfs.NewMem()
	require.NoError(f, OpenDisk(mem, dir, 1<<20).Put(k, p))
	whole, err := vfs.ReadFile(mem, filepath.Join(dir, k.file()))
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:8])
	f.Fuzz(func(t *testing.T, b []byte) {
		require.NoError(t, vfs.WriteFile(mem, filepath.Join(dir, k.file()), b))
		if got := get(OpenDisk(mem, dir, 1<<20), k); got != nil {
			require.Equal(t, whole, b)
			require.Equal(t, p, got)
		}
		require.NoError(t, mem.MkdirAll(filepath.Join(dir, k.dir())))
	})
}
