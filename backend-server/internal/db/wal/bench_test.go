package wal

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// recordBytes is the size of a decoded CPU profile.
const recordBytes = 2 << 10

// BenchmarkAppend measures a record that is durable: alone, as part of a group
// that one caller waits for, and with as many callers as the group has records.
func BenchmarkAppend(b *testing.B) {
	for _, group := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("group=%d", group), func(b *testing.B) {
			l := openOnDisk(b)
			p := make([]byte, recordBytes)
			b.SetBytes(recordBytes)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				t, err := l.Enqueue(p)
				require.NoError(b, err)
				if i%group == group-1 {
					require.NoError(b, l.Wait(b.Context(), t))
				}
			}
			require.NoError(b, l.Wait(b.Context(), l.Last()))
		})
	}
	for _, callers := range []int{2, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := openOnDisk(b)
			p := make([]byte, recordBytes)
			b.SetBytes(recordBytes)
			b.SetParallelism(callers / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					t, err := l.Enqueue(p)
					if err == nil {
						err = l.Wait(b.Context(), t)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func openOnDisk(b *testing.B) *Log {
	b.Helper()
	l, err := Open(vfs.OS{}, filepath.Join(b.TempDir(), "wal"), Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, l.Close()) })
	return l
}

func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(vfs.OS{}, dir, Options{Sync: SyncInterval})
	require.NoError(b, err)
	p := make([]byte, recordBytes)
	for range 16 << 10 {
		_, err := l.Enqueue(p)
		require.NoError(b, err)
	}
	require.NoError(b, l.Close())
	b.SetBytes(l.Size())
	for b.Loop() {
		stats, err := Replay(vfs.OS{}, dir, func([]byte) error { return nil })
		require.NoError(b, err)
		require.EqualValues(b, 16<<10, stats.Records)
	}
}
