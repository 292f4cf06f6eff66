package db

import (
	"context"
	"sync"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Budget bounds the memory that the heads of many databases hold together, and
// that each of them holds. Before records are added, room for what they may
// come to is set aside; where there is none, Append waits a little and then
// refuses. So the heads never hold more than the limit and one batch, and what
// their tables take ahead of need when they double: a batch gets in either
// because all of it fits, or because it is the only one on its way and the limit
// has not been reached yet.
//
// It is the owner's part to make room: to flush from PressedAt on.
type Budget struct {
	limits BudgetLimits

	mu sync.Mutex
	account
	// room is closed, and another takes its place, when there is more room and
	// somebody waits for it.
	room    chan struct{}
	waiting bool
}

// BudgetLimits configure a Budget. A limit of 0 is none.
type BudgetLimits struct {
	Bytes       int64 // of all databases together
	TenantBytes int64 // of one
	// Wait is how long an append waits for room before it is refused.
	Wait time.Duration
	// Pressed is called when a database has come to hold so much that heads
	// should be flushed. It must return at once and not call back.
	Pressed func()
}

// The flags that set the limits, as messages name them.
const (
	flagBytes       = "-db.head-max-bytes"
	flagTenantBytes = "-db.head-max-tenant-bytes"
)

// ReasonHeadFull is the refusal reason of records for which there is no memory.
const ReasonHeadFull = "head_full"

// NewBudget returns a Budget of which nothing is used.
func NewBudget(limits BudgetLimits) *Budget {
	if limits.Pressed == nil {
		limits.Pressed = func() {}
	}
	return &Budget{limits: limits, room: make(chan struct{})}
}

// PressedAt is the part of a limit, in percent, above which heads should be
// flushed: what is left has to do until the flush is through.
const PressedAt = 70

// Pressed reports whether n bytes are so much of a limit that heads should be
// flushed. A limit of 0 is none.
func Pressed(n, limit int64) bool { return limit > 0 && n > limit/100*PressedAt }

// Limits returns what the budget was made with.
func (b *Budget) Limits() BudgetLimits { return b.limits }

// Used returns the memory that the heads hold.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// account is what is held and what is set aside for records on their way.
type account struct{ used, reserved int64 }

// fits reports whether n more bytes may be set aside.
func (a account) fits(n, limit int64) bool {
	return limit <= 0 || a.used+a.reserved+n <= limit || a.reserved == 0 && a.used < limit
}

// reserve sets n bytes aside for a, a database's own account.
func (b *Budget) reserve(ctx context.Context, a *account, n int64) error {
	var late <-chan time.Time
	for {
		room, err := b.take(a, n)
		if err == nil {
			return nil
		}
		if late == nil {
			timer := time.NewTimer(b.limits.Wait)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-room:
		case <-late:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take sets n bytes aside, or says why it cannot and what to wait for.
func (b *Budget) take(a *account, n int64) (room <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !a.fits(n, b.limits.TenantBytes):
		err = fault.Reason(fault.Exhausted, ReasonHeadFull, "the tenant's profiles in memory take %d bytes of %d (%s), and none were written to disk within %s; try again later",
			a.used, b.limits.TenantBytes, flagTenantBytes, b.limits.Wait)
	case !b.fits(n, b.limits.Bytes):
		err = fault.Reason(fault.Exhausted, ReasonHeadFull, "the profiles in memory take %d bytes of %d (%s), and none were written to disk within %s; try again later",
			b.used, b.limits.Bytes, flagBytes, b.limits.Wait)
	default:
		a.reserved += n
		b.reserved += n
		return nil, nil
	}
	b.waiting = true
	b.limits.Pressed()
	return b.room, err
}

// settle gives back n bytes that were set aside and asks measure what a holds
// now.
func (b *Budget) settle(a *account, n int64, measure func() int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Measured under the lock, so that the latest answer is what stays.
	now := measure()
	a.reserved -= n
	b.reserved -= n
	more := now - a.used
	a.used = now
	b.used += more
	if b.waiting && (n > 0 || more < 0) {
		close(b.room)
		b.room, b.waiting = make(chan struct{}), false
	}
	if more > 0 && (Pressed(a.used, b.limits.TenantBytes) || Pressed(b.used, b.limits.Bytes)) {
		b.limits.Pressed()
	}
}

// What things take in a head at most, in bytes, with their share of the tables
// that find them.
const (
	perRecord   = 256
	perSeries   = 1024 // a series and its first row, for one sample type
	perSample   = 64   // the stack
	perValue    = 16
	perFrame    = 32
	perString   = 48
	perFunction = 64
	perLine     = 32
	perLocation = 64
	perMapping  = 96
)

// estimate returns an upper bound of the memory that records may take in a
// head: as if nothing of them were known there.
func estimate(recs []profile.Record) int64 {
	sum := int64(0)
	var last *profile.Profile
	for i := range recs {
		r := &recs[i]
		types := int64(len(r.Profile.Types))
		samples := int64(r.SampleEnd - r.SampleStart)
		sum += perRecord + types*perSeries + samples*(perSample+types*perValue)
		if r.Profile != last {
			last = r.Profile
			sum += symbolsOf(last)
		}
	}
	return sum
}

func symbolsOf(p *profile.Profile) int64 {
	sum := int64(len(p.Strings)*perString + len(p.Functions)*perFunction + len(p.Lines)*perLine + len(p.Locations)*perLocation +
		len(p.Mappings)*perMapping + len(p.Frames)*perFrame)
	for _, s := range p.Strings {
		sum += int64(len(s))
	}
	return sum
}
