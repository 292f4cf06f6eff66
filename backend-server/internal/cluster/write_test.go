package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

var (
	errDown  = fault.New(fault.Unavailable, "down")
	errWrong = fault.New(fault.Invalid, "wrong")
)

// answers makes a Send whose members answer for all items what the map says.
func answers(by map[string]error) func(context.Context, Peer, []int) []error {
	return func(_ context.Context, to Peer, items []int) []error {
		return slices.Repeat([]error{by[to.Id]}, len(items))
	}
}

func TestFateOfAnItem(t *testing.T) {
	for _, c := range []struct {
		name string
		by   map[string]error
		want error
	}{
		{"all acknowledge", nil, nil},
		{"one is down", map[string]error{"m0": errDown}, nil},
		{"one refuses", map[string]error{"m0": errWrong}, nil},
		{"two are down", map[string]error{"m0": errDown, "m1": errDown}, errDown},
		{"two refuse", map[string]error{"m0": errWrong, "m1": errWrong}, errWrong},
		{"one down, one refuses", map[string]error{"m0": errDown, "m1": errWrong}, errDown},
		{"all refuse", map[string]error{"m0": errWrong, "m1": errWrong, "m2": errWrong}, errWrong},
	} {
		_, r := drawn(t, Ingester, even(3))
		got := r.Write(context.Background(), Batch{Tenant: "t", Hashes: []uint64{1, 2}, Timeout: time.Minute, Send: answers(c.by)})
		require.Equal(t, []error{c.want, c.want}, got, c.name)
	}
}

func TestPartOfABatchFails(t *testing.T) {
	_, r := drawn(t, Ingester, even(3))
	got := r.Write(context.Background(), Batch{
		Tenant: "t", Hashes: []uint64{1, 1, 2}, Timeout: time.Minute,
		Send: func(_ context.Context, _ Peer, items []int) []error {
			out := make([]error, len(items))
			out[slices.Index(items, 1)] = errWrong
			return out
		},
	})
	require.Equal(t, []error{nil, errWrong, nil}, got)
}

func TestOneCallForEachMember(t *testing.T) {
	_, r := drawn(t, Ingester, even(7))
	var mu sync.Mutex
	calls, copies := map[string]int{}, make([]int, 500)
	done := make(chan struct{})
	hashes := make([]uint64, len(copies))
	for i := range hashes {
		hashes[i] = uint64(i)
	}
	got := r.Write(context.Background(), Batch{
		Tenant: "t", Hashes: hashes, Timeout: time.Minute, Done: func() { close(done) },
		Send: func(_ context.Context, to Peer, items []int) []error {
			mu.Lock()
			defer mu.Unlock()
			calls[to.Id]++
			for _, i := range items {
				copies[i]++
			}
			return nil
		},
	})
	<-done
	require.Equal(t, make([]error, len(hashes)), got)
	require.Len(t, calls, 7)
	for id, n := range calls {
		require.Equal(t, 1, n, id)
	}
	for _, n := range copies {
		require.Equal(t, 3, n)
	}
}

// TestSlowMember: a member that does not answer delays neither the caller nor
// the others, and is still written to.
func TestSlowMember(t *testing.T) {
	_, r := drawn(t, Ingester, even(3))
	release, done := make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	ctx, cancel := context.WithCancel(context.Background())
	got := r.Write(ctx, Batch{
		Tenant: "t", Hashes: []uint64{1}, Timeout: time.Minute, Done: func() { close(done) },
		Send: func(ctx context.Context, to Peer, _ []int) []error {
			if to.Id == "m2" {
				<-release
				finished.Store(ctx.Err() == nil) // the caller has gone
			}
			return nil
		},
	})
	require.Equal(t, []error{nil}, got)
	cancel()
	select {
	case <-done:
		t.Fatal("done while a member is written to")
	default:
	}
	close(release)
	<-done
	require.True(t, finished.Load())
}

func TestCallerGivesUp(t *testing.T) {
	_, r := drawn(t, Ingester, even(3))
	ctx, cancel := context.WithCancelCause(context.Background())
	release := make(chan struct{})
	got := r.Write(ctx, Batch{
		Tenant: "t", Hashes: []uint64{1}, Timeout: time.Minute,
		Send: func(context.Context, Peer, []int) []error {
			cancel(errors.New("gone home"))
			<-release
			return nil
		},
	})
	close(release)
	require.True(t, fault.Is(got[0], fault.Unavailable))
	require.ErrorContains(t, got[0], "not known whether it is stored: gone home")
}

func TestSendIsBounded(t *testing.T) {
	_, r := drawn(t, Ingester, even(3))
	got := r.Write(context.Background(), Batch{
		Tenant: "t", Hashes: []uint64{1}, Timeout: time.Millisecond,
		Send: func(ctx context.Context, _ Peer, _ []int) []error {
			<-ctx.Done()
			return []error{fault.Mark(fault.Unavailable, ctx.Err())}
		},
	})
	require.ErrorIs(t, got[0], context.DeadlineExceeded)
}

func TestTooFewMembersToWriteTo(t *testing.T) {
	peers := even(3)
	peers[0].silent, peers[1].silent = stale, stale
	_, r := drawn(t, Ingester, peers)
	done := false
	got := r.Write(context.Background(), Batch{Tenant: "t", Hashes: []uint64{1}, Timeout: time.Minute, Send: answers(nil), Done: func() { done = true }})
	require.True(t, fault.Is(got[0], fault.Unavailable))
	r.sends.close() // waits for what is in the background
	require.True(t, done)
	done = false
	got = r.Write(context.Background(), Batch{Tenant: "t", Hashes: []uint64{1}, Timeout: time.Minute, Send: answers(nil), Done: func() { done = true }})
	require.Error(t, got[0])
	require.True(t, done, "after the end nothing is sent")
	require.Empty(t, r.Write(context.Background(), Batch{Tenant: "t"}))
}

func BenchmarkWrite(b *testing.B) {
	_, r := drawn(b, Ingester, even(9))
	hashes := make([]uint64, 256)
	for i := range hashes {
		hashes[i] = uint64(i / 16)
	}
	for b.Loop() {
		r.Write(context.Background(), Batch{Tenant: "t", Hashes: hashes, Timeout: time.Minute, Send: answers(nil)})
	}
}
