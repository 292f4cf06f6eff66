package distributor

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// megabyte is the unit of rates.
const megabyte = 1e6

// rates holds what each tenant may still send.
type rates struct {
	cfg     Config
	sharers func() int // distributors that share the rates; nil: one

	mu struct {
		sync.Mutex
		tenants map[string]*rate.Limiter
	}
}

func newRates(cfg Config, sharers func() int) *rates {
	r := &rates{cfg: cfg, sharers: sharers}
	r.mu.tenants = map[string]*rate.Limiter{}
	return r
}

// take books bytes for a tenant, or says when to try again. A request larger
// than the burst costs as much as the burst, for otherwise it could never pass.
func (r *rates) take(tenantID string, bytes int, now time.Time) error {
	if r.cfg.RateMB <= 0 {
		return nil
	}
	sharers := 1
	if r.sharers != nil {
		sharers = max(1, r.sharers())
	}
	limiter := r.of(tenantID)
	if share := rate.Limit(r.cfg.RateMB * megabyte / float64(sharers)); limiter.Limit() != share {
		limiter.SetLimitAt(now, share)
	}
	booked := limiter.ReserveN(now, min(bytes, limiter.Burst()))
	wait := booked.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	booked.CancelAt(now)
	return &upload.RetryError{
		After: wait,
		Err: fault.Reason(fault.Exhausted, "rate_limited", "tenant %q sends more than -distributor.ingestion-rate-limit-mb=%g megabytes a second (burst %g), shared by %d distributors; this request has %d bytes; try again in %s",
			tenantID, r.cfg.RateMB, r.cfg.BurstMB, sharers, bytes, wait.Round(time.Millisecond)),
	}
}

func (r *rates) of(tenantID string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.mu.tenants[tenantID]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(r.cfg.RateMB*megabyte), max(1, int(r.cfg.BurstMB*megabyte)))
		r.mu.tenants[tenantID] = l
	}
	return l
}
