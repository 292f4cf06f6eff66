package ingester

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// sickFor is how long a failed write makes the ingester not ready, unless one
// succeeds before. It ends by itself, because an ingester that is not ready
// may get no writes that could show it has recovered.
const sickFor = 30 * time.Second

// health remembers the last write that failed for a reason of our own.
type health struct {
	mu    sync.Mutex
	err   error
	since time.Time
}

// note takes in the outcome of a push. One that holds refusals only says
// nothing about our health.
func (h *health) note(errs []error, now time.Time) {
	var failure error
	stored := len(errs) == 0
	for _, err := range errs {
		stored = stored || err == nil
		if ours(err) {
			failure = err
		}
	}
	if failure == nil && !stored {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err, h.since = failure, now
}

// ours reports whether err is a failure of this process, not of the request. A
// full disk is none: queries go on, and nobody should be kept from asking.
func ours(err error) bool {
	if err == nil || fault.ReasonOf(err) == reasonDiskLow || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Unknown, fault.Unavailable, fault.Corrupt:
		return true
	}
	return false
}

func (h *health) check(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil || now.Sub(h.since) > sickFor {
		return nil
	}
	return fmt.Errorf("writes fail: %w", h.err)
}
