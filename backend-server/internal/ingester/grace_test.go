package ingester

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// A query of another process may have looked into the bucket just before a
// block was found to be shown there, and look here just after.
func TestBlocksStayForAGrace(t *testing.T) {
	f, _ := newMemFixture(t)
	f.idle(t, func(c *Config) { c.DropGrace, c.Disk.LocalRetention = time.Minute, 0 })
	push(t, f, team, record(1, 1))
	require.NoError(t, f.Flush(t.Context()))
	later := time.Now().Add(24 * time.Hour)
	require.NoError(t, f.Tidy(t.Context(), later))
	require.NoError(t, f.Tidy(t.Context(), later.Add(59*time.Second)))
	blocks, _ := local(t, f)
	require.Equal(t, 1, blocks)
	require.NoError(t, f.Tidy(t.Context(), later.Add(time.Minute)))
	blocks, _ = local(t, f)
	require.Zero(t, blocks)
	require.Empty(t, f.instances()[0].seen.blocks)
}

// An ingester that leaves takes nothing in any more, has everything in the bucket
// when it is ready to go, and is read from all along.
func TestDrain(t *testing.T) {
	f, _ := newMemFixture(t)
	f.idle(t, func(*Config) {})
	push(t, f, team, record(1, 5))
	f.bkt.gone.Store(true)
	time.AfterFunc(10*time.Millisecond, func() { f.bkt.gone.Store(false) })
	require.NoError(t, f.Drain(t.Context()), "the bucket was away for a moment only")
	require.Equal(t, 1, f.arrived())
	require.EqualValues(t, 5, total(t, f, team))
	errs := f.Push(t.Context(), team, nil)
	require.Empty(t, errs)
	require.ErrorContains(t, f.Push(t.Context(), team, []profile.Record{record(2, 1)})[0], "leaving")
}

// While one that stops waits for a query, others are told so at once: they ask
// another ingester.
func TestStoppingKeepsNobodyWaiting(t *testing.T) {
	f, _ := newMemFixture(t)
	f.idle(t, func(*Config) {})
	push(t, f, team, record(1, 5))
	_, release, err := f.View(t.Context(), team, profile.TimeRange{End: 10})
	require.NoError(t, err)
	stopped := make(chan error)
	go func() { stopped <- f.stop(nil) }()
	require.Eventually(t, func() bool {
		if f.gate.TryRLock() {
			f.gate.RUnlock()
			return false
		}
		return true // it waits
	}, time.Minute, time.Millisecond)
	require.ErrorIs(t, f.Push(t.Context(), team, []profile.Record{record(2, 1)})[0], errStopping)
	_, _, err = f.View(t.Context(), team, profile.TimeRange{End: 10})
	require.ErrorIs(t, err, errStopping)
	require.ErrorIs(t, f.Ready(), errStopping)
	release()
	require.NoError(t, <-stopped)
}
