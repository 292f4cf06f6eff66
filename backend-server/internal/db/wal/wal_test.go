package wal

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

const testDir = "data/wal"

func open(t testing.TB, fsys vfs.FS, opts Options) *Log {
	t.Helper()
	l, err := Open(fsys, testDir, opts)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// put enqueues payloads and waits for the last.
func put(t testing.TB, l *Log, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		_, err := l.Enqueue([]byte(p))
		require.NoError(t, err)
	}
	require.NoError(t, l.Wait(t.Context(), l.Last()))
}

func replay(t testing.TB, fsys vfs.FS) ([]string, Stats) {
	t.Helper()
	var got []string
	stats, err := Replay(fsys, testDir, func(p []byte) error {
		got = append(got, string(p))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, int64(len(got)), stats.Records)
	return got, stats
}

func TestRoundTrip(t *testing.T) {
	for _, mode := range []SyncMode{SyncAlways, SyncInterval} {
		t.Run(mode.String(), func(t *testing.T) {
			fsys := vfs.NewMem()
			got, stats := replay(t, fsys)
			require.Empty(t, got)
			require.Zero(t, stats)

			var want []string
			for round := range 3 {
				l := open(t, fsys, Options{Sync: mode, SegmentBytes: 100})
				for i := range 10 {
					p := fmt.Sprintf("round %d record %d", round, i)
					want = append(want, p)
					put(t, l, p)
				}
				put(t, l, "")
				want = append(want, "")
				require.NoError(t, l.Close())
				require.NoError(t, l.Close())

				got, stats = replay(t, fsys)
				require.Equal(t, want, got)
				require.Equal(t, l.Size(), stats.Bytes+stats.Records*frameSize+int64(stats.Segments)*headerSize)
			}
			require.Greater(t, stats.Segments, 6)
			require.Zero(t, stats.Corrupt+stats.LostBytes+stats.TornBytes)
		})
	}
}

func TestCloseWritesWhatIsEnqueued(t *testing.T) {
	fsys := vfs.NewMem()
	l := open(t, fsys, Options{})
	ticket, err := l.Enqueue([]byte("a"))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, l.Wait(t.Context(), ticket))
	got, _ := replay(t, fsys)
	require.Equal(t, []string{"a"}, got)

	_, err = l.Enqueue([]byte("b"))
	require.ErrorIs(t, err, ErrClosed)
	require.True(t, fault.Is(err, fault.Unavailable))
}

func TestTickets(t *testing.T) {
	l := open(t, vfs.NewMem(), Options{})
	require.NoError(t, l.Wait(t.Context(), l.Last()), "nothing enqueued is durable")
	a, err := l.Enqueue([]byte("a"))
	require.NoError(t, err)
	b, err := l.Enqueue([]byte("b"))
	require.NoError(t, err)
	require.Less(t, a, b)
	require.Equal(t, b, l.Last())
	require.NoError(t, l.Wait(t.Context(), b))
	require.NoError(t, l.Wait(t.Context(), a))
	require.Error(t, l.Wait(t.Context(), b+1), "a ticket of another log")
}

func TestWaitEndsWithItsContext(t *testing.T) {
	block := make(chan struct{})
	fsys := vfs.WithFaults(vfs.NewMem(), func(op vfs.Op, _ string) error {
		if op == vfs.OpSync {
			<-block
		}
		return nil
	})
	l := open(t, fsys, Options{})
	ticket, err := l.Enqueue([]byte("a"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.Wait(ctx, ticket), context.Canceled)
	close(block)
	require.NoError(t, l.Wait(t.Context(), ticket))
}

func TestRecordTooLarge(t *testing.T) {
	l := open(t, vfs.NewMem(), Options{MaxRecordBytes: 3})
	put(t, l, "abc")
	_, err := l.Enqueue([]byte("abcd"))
	require.True(t, fault.Is(err, fault.TooLarge), "%v", err)
	put(t, l, "x")
}

func TestReplayStopsAtTheErrorOfItsCaller(t *testing.T) {
	fsys := vfs.NewMem()
	put(t, open(t, fsys, Options{}), "a", "b", "c")
	enough := errors.New("enough")
	calls := 0
	stats, err := Replay(fsys, testDir, func([]byte) error { calls++; return enough })
	require.ErrorIs(t, err, enough)
	require.Equal(t, 1, calls)
	require.Zero(t, stats.Records)
}

func TestSyncModeFlag(t *testing.T) {
	for _, s := range []string{"always", "interval"} {
		var m SyncMode
		require.NoError(t, m.Set(s))
		require.Equal(t, s, m.String())
	}
	_, err := ParseSyncMode("never")
	require.True(t, fault.Is(err, fault.Invalid))
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := Open(vfs.NewMem(), testDir, Options{MaxRecordBytes: recordLimit + 1})
	require.Error(t, err)
	_, err = Open(vfs.NewMem(), testDir, Options{SegmentBytes: -1})
	require.Error(t, err)
}
