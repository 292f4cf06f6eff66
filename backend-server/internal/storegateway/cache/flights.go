package cache

import (
	"context"
	"errors"
	"sync"
)

// Flights are reads under way. The zero value has none.
type Flights struct {
	mu  sync.Mutex
	now map[Key]*flight
}

type flight struct {
	done chan struct{} // closed when p and err are known
	p    []byte
	err  error
}

// Read fills p with a part by calling read, or with what somebody else reads
// who has called it for the same part; shared says so. If that one fails it
// reads itself. The memory of p must not be changed afterwards.
func (f *Flights) Read(ctx context.Context, k Key, p []byte, read func() error) (shared bool, err error) {
	for {
		f.mu.Lock()
		other := f.now[k]
		if other == nil {
			own := &flight{done: make(chan struct{}), p: p, err: errPanicked}
			if f.now == nil {
				f.now = map[Key]*flight{}
			}
			f.now[k] = own
			f.mu.Unlock()
			defer f.land(k, own)
			own.err = read()
			return false, own.err
		}
		f.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if other.err == nil {
			copy(p, other.p)
			return true, nil
		}
	}
}

// errPanicked is how a read ends that has not come back.
var errPanicked = errors.New("the read has not come back")

func (f *Flights) land(k Key, own *flight) {
	f.mu.Lock()
	delete(f.now, k)
	f.mu.Unlock()
	close(own.done)
}
