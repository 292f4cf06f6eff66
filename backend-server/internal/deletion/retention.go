package deletion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Retention knows how long the profiles of each tenant are kept. It is safe for
// concurrent use.
type Retention struct {
	everybody Policy
	file      string // "" for none
	logger    *slog.Logger
	failing   prometheus.Gauge

	mu struct {
		sync.RWMutex
		raw     []byte // what the file held when it was last read
		said    string // the failure that was logged last
		tenants map[string]Policy
	}
}

// NewRetention returns the retention that cfg, which must be valid, says. A file
// of overrides that cannot be read is an error: to begin with what holds for
// everybody could delete what is to be kept.
func NewRetention(cfg Config, reg prometheus.Registerer, logger *slog.Logger) (*Retention, error) {
	p, problems := cfg.policy()
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	r := &Retention{everybody: p, file: cfg.Overrides, logger: logger, failing: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hearth_retention_overrides_failing", Help: "1 while the file of -" + overridesFlag + " cannot be used and what it held before counts, else 0.",
	})}
	if reg != nil {
		reg.MustRegister(r.failing)
	}
	return r, r.Reload()
}

// Policy returns what holds for a tenant.
func (r *Retention) Policy(tenantID string) Policy {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p, ok := r.mu.tenants[tenantID]; ok {
		return p
	}
	return r.everybody
}

// Rules returns what of a tenant is too old at a time; see Policy.Rules.
func (r *Retention) Rules(tenantID string, now time.Time) Rules {
	p := r.Policy(tenantID)
	return p.Rules(now)
}

// MaxBytes returns what a tenant may take of the bucket; 0 is any.
func (r *Retention) MaxBytes(tenantID string) int64 { return r.Policy(tenantID).MaxBytes }

// Watch reads the file of overrides again when it has changed, until ctx ends.
func (r *Retention) Watch(ctx context.Context) error {
	if r.file == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(reread)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_ = r.Reload() // it has said so, and what was there before counts
		}
	}
}

// Reload reads the file of overrides if it has changed. If it cannot be used,
// what it held before counts.
func (r *Retention) Reload() error {
	if r.file == "" {
		return nil
	}
	raw, err := os.ReadFile(r.file)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && r.mu.tenants != nil && r.mu.said == "" && bytes.Equal(raw, r.mu.raw) {
		return nil
	}
	var tenants map[string]Policy
	if err == nil {
		tenants, err = parseOverrides(raw, r.everybody)
	}
	if err == nil && len(r.mu.tenants) > 0 && len(bytes.TrimSpace(raw)) == 0 {
		// Who writes a file empties it first.
		err = errors.New("it is empty, and had settings before; to take all of them back, write {}")
	}
	if err != nil {
		err = fmt.Errorf("-%s %s: %w", overridesFlag, r.file, err)
		if r.mu.said != err.Error() {
			r.logger.Error("retention settings of tenants cannot be used; those from before count", "err", err)
		}
		r.mu.said = err.Error()
		r.failing.Set(1)
		return err
	}
	if r.mu.tenants != nil {
		r.logger.Info("retention settings of tenants have changed", "file", r.file, "tenants", len(tenants))
	}
	r.mu.raw, r.mu.tenants, r.mu.said = raw, tenants, ""
	r.failing.Set(0)
	return nil
}
