package wal

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs/vfstest"
)

// writers each enqueue numbered records and wait for each; acked[i] is how
// many of writer i are durable.
type writers struct{ acked []atomic.Uint64 }

func (w *writers) run(l *Log, each int) {
	var wg sync.WaitGroup
	for i := range w.acked {
		wg.Go(func() {
			for seq := uint64(1); seq <= uint64(each); seq++ {
				p := binary.BigEndian.AppendUint64(nil, uint64(i))
				p = binary.BigEndian.AppendUint64(p, seq)
				p = append(p, make([]byte, (seq*37)%300)...)
				t, err := l.Enqueue(p)
				if err != nil || l.Wait(context.Background(), t) != nil {
					return
				}
				w.acked[i].Store(seq)
			}
		})
	}
	wg.Wait()
}

func (w *writers) durable() []uint64 {
	counts := make([]uint64, len(w.acked))
	for i := range counts {
		counts[i] = w.acked[i].Load()
	}
	return counts
}

// requireAll checks that a replay has of each writer 1, 2, 3 … without gap or
// repetition, at least as far as acked.
func requireAll(t *testing.T, fsys vfs.FS, acked []uint64) {
	t.Helper()
	found := make([]uint64, len(acked))
	_, err := Replay(fsys, testDir, func(p []byte) error {
		i, seq := binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
		if seq != found[i]+1 {
			return fmt.Errorf("writer %d: record %d after %d", i, seq, found[i])
		}
		found[i] = seq
		return nil
	})
	require.NoError(t, err)
	for i := range acked {
		require.GreaterOrEqual(t, found[i], acked[i], "writer %d", i)
	}
}

// TestAcknowledgedRecordsSurvive cuts the power at each change of the disk
// while writers run.
func TestAcknowledgedRecordsSurvive(t *testing.T) {
	const n, each = 4, 40
	var running atomic.Pointer[writers]
	watch := vfstest.Watch(vfs.NewMem(), 2, func() []uint64 {
		if w := running.Load(); w != nil {
			return w.durable()
		}
		return make([]uint64, n)
	})
	l := open(t, watch.FS(), Options{SegmentBytes: 4 << 10})
	w := &writers{acked: make([]atomic.Uint64, n)}
	running.Store(w)
	w.run(l, each)
	require.Equal(t, []uint64{each, each, each, each}, w.durable())
	require.NoError(t, l.Close())

	cuts := watch.Cuts()
	require.Greater(t, len(cuts), 2*each)
	for _, cut := range cuts {
		requireAll(t, cut.FS, cut.Note)
	}
}

// TestCrashAndReopen goes through many lives of one log.
func TestCrashAndReopen(t *testing.T) {
	mem := vfs.NewMem()
	rng := rand.New(rand.NewPCG(3, 4))
	var durable, enqueued []string
	for life := range 30 {
		l := open(t, mem, Options{SegmentBytes: 200})
		for i := range rng.IntN(20) {
			p := fmt.Sprintf("%d/%d", life, i)
			ticket, err := l.Enqueue([]byte(p))
			require.NoError(t, err)
			enqueued = append(enqueued, p)
			if rng.IntN(3) == 0 {
				require.NoError(t, l.Wait(t.Context(), ticket))
				durable = append(durable[:0:0], enqueued...)
			}
		}
		mem = mem.CrashClone(rng)
		got, _ := replay(t, mem)
		require.GreaterOrEqual(t, len(got), len(durable))
		requireSubsequence(t, got, enqueued)
		requireSubsequence(t, durable, got)
		enqueued, durable = got, got
	}
}

// TestOpenSyncsWhatAKilledProcessLeft kills the process between write and
// sync: the next one finds the record, and must not lose it to a power cut.
func TestOpenSyncsWhatAKilledProcessLeft(t *testing.T) {
	mem := vfs.NewMem()
	killed := false
	l := open(t, vfs.WithFaults(mem, func(op vfs.Op, _ string) error {
		if op == vfs.OpSync && killed {
			return syscall.EIO
		}
		return nil
	}), Options{})
	put(t, l, "a")
	killed = true
	ticket, err := l.Enqueue([]byte("b"))
	require.NoError(t, err)
	require.Error(t, l.Wait(t.Context(), ticket))
	got, _ := replay(t, mem)
	require.Equal(t, []string{"a", "b"}, got)

	open(t, mem, Options{})
	for seed := range uint64(50) {
		got, _ := replay(t, mem.CrashClone(rand.New(rand.NewPCG(seed, 0))))
		require.Equal(t, []string{"a", "b"}, got)
	}
}

// requireSubsequence checks that all of a are in b, in the same order.
func requireSubsequence(t *testing.T, a, b []string) {
	t.Helper()
	for _, s := range b {
		if len(a) > 0 && a[0] == s {
			a = a[1:]
		}
	}
	require.Empty(t, a)
}

// TestDiskFull fails each change of the disk in turn: the log breaks there,
// tells everyone, and keeps what it had acknowledged.
func TestDiskFull(t *testing.T) {
	vfstest.EveryFault(t, syscall.ENOSPC, func(t *testing.T, mem *vfs.Mem, fsys vfs.FS, fault *vfstest.Fault) {
		broken := 0
		l, err := Open(fsys, testDir, Options{SegmentBytes: 500, Events: Events{Broken: func(error) { broken++ }}})
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			return
		}
		w := &writers{acked: make([]atomic.Uint64, 3)}
		w.run(l, 20)
		requireAll(t, mem.CrashClone(rand.New(rand.NewPCG(1, 0))), w.durable())
		if !fault.Hit() {
			require.NoError(t, l.Close())
			require.Equal(t, []uint64{20, 20, 20}, w.durable())
			require.Zero(t, broken)
			return
		}
		requireBroken(t, l)
		require.Equal(t, 1, broken)

		next := open(t, mem, Options{}) // the owner starts afresh when there is room again
		require.NoError(t, next.Close())
		requireAll(t, mem, w.durable())
	})
}

func requireBroken(t *testing.T, l *Log) {
	t.Helper()
	for _, err := range []error{
		func() error { _, err := l.Enqueue([]byte("x")); return err }(),
		l.Wait(t.Context(), l.Last()),
		l.Close(),
		l.Close(),
	} {
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.True(t, fault.Is(err, fault.Unavailable))
	}
}

// TestBackPressure lets a writer that does not wait run into a slow disk.
func TestBackPressure(t *testing.T) {
	release := make(chan struct{})
	fsys := vfs.WithFaults(vfs.NewMem(), func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			<-release
		}
		return nil
	})
	l := open(t, fsys, Options{})
	var enqueued atomic.Int64
	const records = 40
	done := make(chan error)
	go func() {
		p := make([]byte, 1<<20)
		for range records {
			if _, err := l.Enqueue(p); err != nil {
				done <- err
				return
			}
			enqueued.Add(1)
		}
		done <- nil
	}()
	require.Eventually(t, func() bool { return enqueued.Load() >= maxPendingBytes>>20 }, 5*time.Second, time.Millisecond)
	select {
	case <-done:
		t.Fatal("nothing held the writer back")
	case <-time.After(20 * time.Millisecond):
	}
	require.LessOrEqual(t, enqueued.Load(), int64(2*maxPendingBytes>>20+2))
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, l.Wait(t.Context(), l.Last()))
}

func TestIntervalSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		var syncs atomic.Int64
		l, err := Open(mem, testDir, Options{Sync: SyncInterval, Interval: time.Second,
			Events: Events{Synced: func(time.Duration) { syncs.Add(1) }}})
		require.NoError(t, err)
		put(t, l, "a", "b")
		put(t, l, "c")
		require.Zero(t, syncs.Load())
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 1, syncs.Load())
		got, _ := replay(t, mem.CrashClone(rand.New(rand.NewPCG(5, 6))))
		require.Equal(t, []string{"a", "b", "c"}, got)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.EqualValues(t, 1, syncs.Load(), "nothing new, nothing to sync")
		put(t, l, "d")
		require.NoError(t, l.Close())
		require.EqualValues(t, 2, syncs.Load())
	})
}

func TestIntervalSyncFailureBreaksTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.WithFaults(vfs.NewMem(), func(op vfs.Op, _ string) error {
			if op == vfs.OpSync {
				return syscall.ENOSPC
			}
			return nil
		})
		l, err := Open(fsys, testDir, Options{Sync: SyncInterval, Interval: time.Second})
		require.NoError(t, err)
		put(t, l, "a")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_, err = l.Enqueue([]byte("b"))
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorIs(t, l.Close(), syscall.ENOSPC)
	})
}

// TestCrowdCommitsTogether runs writers against a disk that takes 1 ms to
// sync: after the first rounds they must share fsyncs. One writer alone must
// never linger.
func TestCrowdCommitsTogether(t *testing.T) {
	for _, n := range []int{1, 2, 32} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := vfs.WithFaults(vfs.NewMem(), func(op vfs.Op, _ string) error {
					if op == vfs.OpSync {
						time.Sleep(time.Millisecond)
					}
					return nil
				})
				var commits, records int
				l, err := Open(fsys, testDir, Options{Events: Events{Committed: func(c Commit) {
					commits++
					records += c.Records
				}}})
				require.NoError(t, err)
				start := time.Now()
				const each = 50
				(&writers{acked: make([]atomic.Uint64, n)}).run(l, each)
				took := time.Since(start)
				require.NoError(t, l.Close())
				require.Equal(t, n*each, records)
				require.LessOrEqual(t, commits, 2*each+5)
				require.LessOrEqual(t, took, (2*each+10)*time.Millisecond)
				if n == 1 {
					require.Equal(t, each*time.Millisecond, took, "a lone writer waits for the disk only")
				}
			})
		})
	}
}
