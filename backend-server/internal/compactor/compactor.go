package compactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// Deps is what a compactor works with.
type Deps struct {
	Bucket objstore.Bucket
	// Dir is a folder of the compactor alone. What is in it is removed.
	Dir string
	// Owns reports whether this compactor deals with a tenant; nil: with all.
	Owns func(tenantID string) (bool, error)
	// Rules returns what is deleted of a tenant; nil: nothing.
	Rules func(ctx context.Context, tenantID string) (Rules, error)
	// Tidy is given the blocks that count at the end of a tenant's round, and may
	// change what is deleted, which the next round then goes by; nil: nothing.
	Tidy func(ctx context.Context, tenantID string, blocks []*block.Meta, rules Rules) error
	// Shipped is told of blocks that have arrived in the bucket.
	Shipped func(ctx context.Context, tenantID string, id ulid.ULID)
	// Audit is told of blocks that were rewritten, or removed, because of rules.
	Audit func(ctx context.Context, tenantID string, e Event)

	Registerer prometheus.Registerer
	Logger     *slog.Logger
	Now        func() time.Time
}

// Event is what was done to blocks because of rules.
type Event struct {
	Blocks []ulid.ULID
	// Made are the blocks that take their place, without what is deleted.
	Made  []ulid.ULID
	Rules []string
	// Removed is how many rows deletions took out, where that is known: not where
	// copies were merged too.
	Removed uint64
}

// Compactor is the role. It is a service that makes a round every now and then.
type Compactor struct {
	services.Service
	cfg      Config
	deps     Deps
	dir      string
	ranges   []int64
	digester *replica.Digester
	metrics  *metrics

	// round is held by a round; the fields below belong to it.
	round sync.Mutex
	// since is when the rules of retention of a tenant were first seen, by name.
	since map[string]map[string]time.Time
	// damaged are blocks that could not be read, with when they are tried again.
	damaged map[ulid.ULID]time.Time
}

// New returns a compactor that is not started.
func New(cfg Config, deps Deps) (*Compactor, error) {
	ranges, err := cfg.ranges()
	if err != nil {
		return nil, err
	}
	c := &Compactor{
		cfg: cfg, deps: deps, dir: deps.Dir, ranges: ranges,
		// A job looks at each block once.
		digester: replica.NewDigester(0), metrics: newMetrics(deps.Registerer),
		since: map[string]map[string]time.Time{}, damaged: map[ulid.ULID]time.Time{},
	}
	c.Service = services.NewBasicService(c.start, c.run, nil).WithName("compactor")
	return c, nil
}

// start removes what an earlier process has left.
func (c *Compactor) start(context.Context) error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("folder of the compactor: %w", err)
	}
	return nil
}

// firstRound is after how much of the interval the first round begins: a process
// that has just started has more urgent things to do.
const firstRound = 10

func (c *Compactor) run(ctx context.Context) error {
	timer := time.NewTimer(c.cfg.Interval / firstRound)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := c.Round(ctx); err != nil && ctx.Err() == nil {
			c.deps.Logger.Warn("compaction failed; the next round tries again", "err", err, "again_in", c.cfg.Interval)
		}
		timer.Reset(c.cfg.Interval)
	}
}

// Round makes a round now. What goes wrong with a tenant, or with a job, keeps
// others from nothing; the error says all of it.
func (c *Compactor) Round(ctx context.Context) error {
	c.round.Lock()
	defer c.round.Unlock()
	c.metrics.rounds.Inc()
	err := c.tenants(ctx)
	if err == nil {
		c.metrics.lastRound.Set(float64(c.deps.Now().Unix()))
	}
	return err
}

func (c *Compactor) tenants(ctx context.Context) error {
	tenants, err := bucket.Tenants(ctx, c.deps.Bucket)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range tenants {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		owns := true
		if c.deps.Owns != nil {
			if owns, err = c.deps.Owns(t); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		if !owns {
			c.metrics.blocks.DeleteLabelValues(t)
			continue
		}
		if err := c.tenant(ctx, t); err != nil {
			c.metrics.failures.Inc()
			errs = append(errs, fmt.Errorf("tenant %s: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

// tenant makes a round of one tenant.
func (c *Compactor) tenant(ctx context.Context, tenantID string) error {
	s, err := c.load(ctx, tenantID)
	if err != nil {
		return err
	}
	if err := c.settle(ctx, s); err != nil {
		return err
	}
	rules, err := c.rules(ctx, s)
	if err != nil {
		return fmt.Errorf("deletions: %w", err)
	}
	err = errors.Join(c.markGone(ctx, s, rules), c.work(ctx, s, c.lasting(tenantID, rules)), c.clean(ctx, s))
	if err == nil { // copies that could not be merged are not to be taken for too much
		err = c.tidy(ctx, s, rules)
	}
	c.metrics.blocks.WithLabelValues(tenantID).Set(float64(len(s.set.Counting())))
	return err
}

// lasting leaves out rules of retention that have not been there for a while. A
// mistake in the settings that is noticed by then takes nothing out of blocks.
func (c *Compactor) lasting(tenantID string, rules Rules) Rules {
	before, now := c.since[tenantID], map[string]time.Time{}
	out := Rules{Stored: rules.Stored}
	for i := range rules.Retention {
		name := ruleName(&rules.Retention[i], true)
		since, ok := before[name]
		if !ok {
			since = c.deps.Now()
		}
		now[name] = since
		if c.deps.Now().Sub(since) >= c.cfg.DeletionDelay {
			out.Retention = append(out.Retention, rules.Retention[i])
		}
	}
	c.since[tenantID] = now
	return out
}

// diskShare is the part of the free disk that the inputs of a job may take: they
// and what is made of them lie there together.
const diskShare = 3

// room returns how large the inputs of a job may be, 0 if that is not known.
func (c *Compactor) room() int64 {
	space, err := vfs.OS{}.Space(filepath.Dir(c.dir))
	if err != nil {
		return 0
	}
	return int64(space.Free) / diskShare
}

func (c *Compactor) rules(ctx context.Context, s *state) (Rules, error) {
	if c.deps.Rules == nil {
		return Rules{}, nil
	}
	return c.deps.Rules(ctx, s.tenant)
}

func (c *Compactor) tidy(ctx context.Context, s *state, rules Rules) error {
	if c.deps.Tidy == nil {
		return nil
	}
	return c.deps.Tidy(ctx, s.tenant, slices.DeleteFunc(c.free(s), rules.gone), rules)
}

// free returns the blocks that count and are not marked.
func (c *Compactor) free(s *state) []*block.Meta {
	return slices.DeleteFunc(s.set.Counting(), func(m *block.Meta) bool {
		_, marked := s.marks[m.ID]
		return marked
	})
}

// markGone marks the blocks that rules leave nothing of.
func (c *Compactor) markGone(ctx context.Context, s *state, rules Rules) error {
	gone := slices.DeleteFunc(c.free(s), func(m *block.Meta) bool { return !rules.gone(m) })
	if len(gone) == 0 {
		return nil
	}
	if err := c.erase(ctx, s, gone, rules); err != nil {
		return err
	}
	for _, m := range gone {
		c.audit(ctx, s, []*block.Meta{m}, nil, rules)
	}
	return nil
}

// erase marks blocks of which nothing is left. The index is written once: when a
// shorter retention is set, there may be thousands.
func (c *Compactor) erase(ctx context.Context, s *state, blocks []*block.Meta, rules Rules) error {
	for _, m := range blocks {
		s.erased = append(s.erased, catalog.Erased{Block: m.ID, At: c.deps.Now().UTC()})
	}
	s.changed = true
	if err := c.writeIndex(ctx, s); err != nil {
		return err
	}
	marks := make([]catalog.Mark, len(blocks))
	for i, m := range blocks {
		marks[i] = catalog.Mark{Block: m.ID, Gone: true, Rules: rules.about(m.TimeRange()), Reason: "all of it is deleted"}
	}
	if err := c.mark(ctx, s, marks...); err != nil {
		return err
	}
	c.metrics.erased.Add(float64(len(blocks)))
	return nil
}

func (c *Compactor) audit(ctx context.Context, s *state, blocks, made []*block.Meta, rules Rules) {
	e := Event{Blocks: ids(blocks), Made: ids(made)}
	if len(lotsOf(blocks)) == 1 {
		e.Removed = uint64(rows(blocks) - rows(made))
	}
	for _, m := range blocks {
		_, names := rules.pending(m)
		e.Rules = append(e.Rules, names...)
	}
	slices.Sort(e.Rules)
	e.Rules = slices.Compact(e.Rules)
	if c.deps.Audit != nil && len(e.Rules) > 0 {
		c.deps.Audit(ctx, s.tenant, e)
	}
}

func rows(blocks []*block.Meta) (n int64) {
	for _, m := range blocks {
		n += m.Stats.Rows
	}
	return n
}

func ids(blocks []*block.Meta) []ulid.ULID {
	out := make([]ulid.ULID, len(blocks))
	for i, m := range blocks {
		out[i] = m.ID
	}
	return out
}

// work plans jobs and does them.
func (c *Compactor) work(ctx context.Context, s *state, rules Rules) error {
	free := slices.DeleteFunc(c.free(s), func(m *block.Meta) bool { return c.damaged[m.ID].After(c.deps.Now()) })
	tasks := plan(free, c.ranges, c.cfg.After, c.room(), c.deps.Now())
	for _, t := range tasks {
		free = slices.DeleteFunc(free, func(m *block.Meta) bool { return slices.Contains(t.blocks, m) })
	}
	rewrites, err := c.rewrites(ctx, s, free, rules)
	errs := []error{err}
	// Shards of a job stay together: only all of them stand for its inputs.
	for _, l := range lotsOf(free) {
		if slices.ContainsFunc(l.blocks, func(m *block.Meta) bool { return slices.Contains(rewrites, m) }) {
			tasks = append(tasks, task{l.blocks, "deletions"})
		}
	}
	for _, t := range tasks {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if err := c.do(ctx, s, t, rules); err != nil {
			c.metrics.failures.Inc()
			errs = append(errs, fmt.Errorf("%d blocks (%s): %w", len(t.blocks), t.why, err))
		}
	}
	return errors.Join(errs...)
}

// damagedPause is how long a block that could not be read is left alone.
const damagedPause = 6 * time.Hour

// do does a task: the new blocks count from then on, the old ones do not.
func (c *Compactor) do(ctx context.Context, s *state, t task, rules Rules) error {
	begin := time.Now()
	rules = rules.reaching(t.blocks)
	j := &job{c: c, tenant: s.tenant, inputs: t.blocks, rules: rules}
	err := j.run(ctx)
	var bad *damaged
	if errors.As(err, &bad) {
		c.damaged[bad.block] = c.deps.Now().Add(damagedPause)
		c.metrics.damaged.Inc()
		c.deps.Logger.Error("block of the bucket is damaged; it is left as it is", "tenant", s.tenant, "block", bad.block, "err", bad.err)
	}
	if err != nil {
		return err
	}
	c.metrics.jobs.Inc()
	c.metrics.duration.Observe(time.Since(begin).Seconds())
	c.deps.Logger.Info("blocks compacted", "tenant", s.tenant, "blocks", len(t.blocks), "what", t.why,
		"made", len(j.outputs), "read_bytes", t.size(), "written_bytes", (&task{blocks: j.outputs}).size(), "took", time.Since(begin))
	if len(j.outputs) == 0 {
		if err := c.erase(ctx, s, t.blocks, rules); err != nil {
			return err
		}
		c.audit(ctx, s, t.blocks, nil, rules)
		return nil
	}
	for _, m := range j.outputs {
		s.set.Add(m)
	}
	s.changed = true
	c.audit(ctx, s, t.blocks, j.outputs, rules)
	return c.settle(ctx, s)
}

// Folder returns the folder for a compactor in a data folder.
func Folder(dataPath string) string { return filepath.Join(dataPath, "compactor") }
