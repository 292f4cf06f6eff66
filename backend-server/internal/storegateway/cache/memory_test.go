package cache

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

type thing struct{ bytes int64 }

func (t *thing) MemoryBytes() int64 { return t.bytes }
func (t *thing) Forget()            { t.bytes = 0 }

func TestThoseUsedLastKeepTheirMemory(t *testing.T) {
	m := NewMemory(100)
	a, b, c := &thing{40}, &thing{40}, &thing{40}
	m.Used(a)
	m.Used(b)
	m.Used(a)
	m.Used(c)
	require.Equal(t, []int64{40, 0, 40}, []int64{a.bytes, b.bytes, c.bytes})
	require.Equal(t, int64(80), m.Bytes())
	require.Equal(t, int64(1), m.Forgot())
	a.bytes = 70
	m.Used(a)
	require.Equal(t, []int64{70, 0, 0}, []int64{a.bytes, b.bytes, c.bytes})
	a.bytes = 101
	m.Used(a)
	require.Zero(t, a.bytes, "one alone has more than all may")
	require.Zero(t, m.Bytes())
	b.bytes = 50
	m.Used(b)
	m.Drop(b)
	m.Drop(b)
	require.Zero(t, m.Bytes())
	require.Equal(t, int64(50), b.bytes)
}

func TestNoLimit(t *testing.T) {
	m := NewMemory(0)
	a := &thing{1 << 50}
	m.Used(a)
	require.Equal(t, int64(1<<50), m.Bytes())
	require.Equal(t, int64(1<<50), a.bytes)
}

// Many who want the same at the same time have it read once; if that fails, or
// the one who reads gives up, the others do not.
func TestFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Flights
		k := key("A", 0, 4)
		reads, broken := 0, errors.New("broken")
		p := make([][]byte, 5)
		results := make(chan error, len(p))
		for i := range p {
			p[i] = make([]byte, 4)
			go func() {
				time.Sleep(time.Duration(i)) // in order
				shared, err := f.Read(t.Context(), k, p[i], func() error {
					reads++
					first := reads == 1
					time.Sleep(time.Second)
					copy(p[i], "good")
					if first {
						return broken
					}
					return nil
				})
				if err == nil && !shared {
					require.Equal(t, 2, reads)
				}
				results <- err
			}()
		}
		failed := 0
		for range p {
			if err := <-results; err != nil {
				require.ErrorIs(t, err, broken)
				failed++
			}
		}
		require.Equal(t, 1, failed)
		require.Equal(t, 2, reads)
		for _, got := range p {
			require.Equal(t, "good", string(got))
		}
	})
}

func TestWhoWaitsMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Flights
		k := key("A", 0, 4)
		done := make(chan error)
		go func() {
			_, err := f.Read(t.Context(), k, make([]byte, 4), func() error { time.Sleep(time.Hour); return nil })
			done <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.Read(ctx, k, make([]byte, 4), func() error { return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, <-done)
	})
}
