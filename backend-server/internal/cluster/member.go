package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/logging"
)

// Role is what a member of a ring does.
type Role struct {
	// Service is started while the member is PENDING, and stopped after it has
	// left the ring, or while it is LEAVING if it stays; nil if the role needs
	// neither.
	Service services.Service
	// Probation is how long a member that has lost its disk stays JOINING: until
	// what the others acknowledged together with it is in the bucket. Readers
	// miss it meanwhile, for it has nothing of what it once confirmed (R2). It is
	// seen by its name, which the ring knows, and its tokens file, which is gone.
	Probation time.Duration
	// Drain empties the role's memory while the member is LEAVING: it refuses
	// writes first, and serves reads all along. If it fails, what it could not
	// bring to safety is on the disk of this process only, and the member stays
	// on the ring to be missed (R4). nil if there is nothing to empty.
	Drain func(context.Context) error
	// Leaves is asked when the process stops whether it leaves for good. If it
	// does not, nothing is drained, and the member stays on the ring as LEAVING,
	// with its tokens, for the process that comes back (R4). nil means that it
	// leaves.
	Leaves func() bool
}

// Member is this process on one ring, with the role that makes it a member. It
// is a service that takes both through the states of the package comment.
type Member struct {
	services.Service
	name      Name
	role      Role
	cluster   *Cluster
	logger    *slog.Logger
	lifecycle *ring.BasicLifecycler // made by start, which knows the address
	tokens    tokensFile
	addr      string
	forget    forgetter
	failed    failure
	lost      atomic.Bool // on Probation
}

// Member makes this process a member of a ring. The member must be started
// after the cluster and be stopped before it.
func (c *Cluster) Member(name Name, role Role) (*Member, error) {
	if c.members[name] != nil {
		return nil, fmt.Errorf("%s ring: this process is a member already", name)
	}
	cfg := c.cfg.rings()[name]
	m := &Member{
		name: name, role: role, cluster: c, failed: newFailure(),
		logger: c.deps.Logger.With("ring", string(name)),
		tokens: tokensFile(c.tokensFile(name)),
		forget: forgetter{after: cfg.ForgetAfter, period: cfg.HeartbeatPeriod, timeout: cfg.HeartbeatTimeout},
	}
	m.Service = services.NewBasicService(m.start, m.run, m.stop).WithName(string(name) + " ring member")
	c.members[name] = m
	return m, nil
}

// Ready says what keeps this member from getting work, or nil.
func (m *Member) Ready() error {
	if s := m.Service.State(); s != services.Running {
		return fmt.Errorf("this process's membership of the %s ring is %s", m.name, s)
	}
	if s := m.lifecycle.GetState(); s != ring.ACTIVE && s != m.works() {
		return fmt.Errorf("this process is %s on the %s ring", s, m.name)
	}
	return nil
}

// works is the state in which the member is when it has started.
func (m *Member) works() ring.InstanceState {
	if m.lost.Load() {
		return ring.JOINING
	}
	return ring.ACTIVE
}

// start registers the member, starts the role and makes the member ACTIVE.
func (m *Member) start(ctx context.Context) error {
	if err := m.register(ctx); err != nil {
		return fmt.Errorf("join the %s ring: %w", m.name, err)
	}
	err := m.startRole(ctx)
	if err == nil {
		err = m.lifecycle.ChangeState(ctx, ring.JOINING)
	}
	if err == nil && !m.lost.Load() {
		err = m.lifecycle.ChangeState(ctx, ring.ACTIVE)
	}
	if err == nil {
		err = m.seeItself(ctx)
	}
	if err != nil {
		// What the role has on disk is missing (R4).
		m.lifecycle.SetKeepInstanceInTheRingOnShutdown(true)
		return errors.Join(err, m.stopLifecycle(), m.stopRole())
	}
	m.logger.Info("member of the ring", "id", m.cluster.cfg.Instance.ID, "address", m.addr, "zone", m.cluster.cfg.Instance.Zone)
	return nil
}

func (m *Member) register(ctx context.Context) error {
	var err error
	if m.addr, err = m.cluster.addr(); err != nil {
		return err
	}
	cfg := m.cluster.cfg.rings()[m.name]
	m.lifecycle, err = ring.NewBasicLifecycler(ring.BasicLifecyclerConfig{
		ID: m.cluster.cfg.Instance.ID, Addr: m.addr, Zone: m.cluster.cfg.Instance.Zone,
		HeartbeatPeriod: cfg.HeartbeatPeriod, HeartbeatTimeout: cfg.HeartbeatTimeout,
		NumTokens: traits[m.name].tokens,
	}, string(m.name), string(m.name), m.cluster.store, delegate{m}, logging.Kit(m.cluster.deps.Logger), m.cluster.deps.Registerer)
	if err != nil {
		return err
	}
	m.failed.watch("heartbeats", m.lifecycle)
	// It outlives ctx, to be there while the role is drained.
	if err := m.lifecycle.StartAsync(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if err := m.lifecycle.AwaitRunning(ctx); err != nil {
		return errors.Join(err, m.stopLifecycle())
	}
	return nil
}

// seeItself waits until this process's own view of the ring, if it has one, has
// the member: the first write must not come too early.
func (m *Member) seeItself(ctx context.Context) error {
	r := m.cluster.rings[m.name]
	if r == nil {
		return nil
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if s, err := r.ring.GetInstanceState(r.id); err == nil && s == m.works() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (m *Member) startRole(ctx context.Context) error {
	if m.role.Service == nil {
		return nil
	}
	m.failed.watch(string(m.name), m.role.Service)
	if err := m.role.Service.StartAsync(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if err := m.role.Service.AwaitRunning(ctx); err != nil {
		return errors.Join(err, m.role.Service.FailureCase())
	}
	return nil
}

func (m *Member) run(ctx context.Context) error {
	var over <-chan time.Time
	if m.lost.Load() {
		m.logger.Error("this -instance.id was on the ring before, and what it had is gone; it is written to, and read from when what others have of that time is in the bucket", "id", m.cluster.cfg.Instance.ID, "after", m.role.Probation)
		timer := time.NewTimer(m.role.Probation)
		defer timer.Stop()
		over = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-m.failed:
			return err
		case <-over:
			if err := m.lifecycle.ChangeState(ctx, ring.ACTIVE); err != nil {
				return fmt.Errorf("join the %s ring: %w", m.name, err)
			}
			m.lost.Store(false)
			delegate{m}.OnRingInstanceTokens(m.lifecycle, m.lifecycle.GetTokens())
		}
	}
}

// stop leaves the ring and stops the role. A member that is to come back, whose
// role has failed, or that could not be drained, stays on the ring.
func (m *Member) stop(failed error) error {
	ctx := context.Background()
	var err error
	stays := m.role.Leaves != nil && !m.role.Leaves()
	switch {
	case failed != nil:
	case stays:
		err = errors.Join(m.leaving(ctx), m.stopRole())
	default:
		err = m.leave(ctx)
	}
	m.lifecycle.SetKeepInstanceInTheRingOnShutdown(failed != nil || stays || err != nil)
	err = errors.Join(err, m.stopLifecycle())
	if failed == nil && stays {
		return err
	}
	return errors.Join(err, m.stopRole())
}

// leaving has writers pass this member over.
func (m *Member) leaving(ctx context.Context) error {
	if err := m.lifecycle.ChangeState(ctx, ring.LEAVING); err != nil {
		return fmt.Errorf("leave the %s ring: %w", m.name, err)
	}
	return nil
}

func (m *Member) leave(ctx context.Context) error {
	if err := m.leaving(ctx); err != nil || m.role.Drain == nil {
		return err
	}
	begin := time.Now()
	if err := m.role.Drain(ctx); err != nil {
		return fmt.Errorf("drain for leaving the %s ring; what is left is on this process's disk: %w", m.name, err)
	}
	m.logger.Info("drained", "took", time.Since(begin))
	return nil
}

// stopLifecycle ends the heartbeats, and takes the member off the ring unless it
// is to stay.
func (m *Member) stopLifecycle() error {
	return services.StopAndAwaitTerminated(context.Background(), m.lifecycle)
}

func (m *Member) stopRole() error {
	if m.role.Service == nil || m.role.Service.State() == services.New {
		return nil
	}
	return services.StopAndAwaitTerminated(context.Background(), m.role.Service)
}

// delegate is what a Member does when its lifecycler asks. It implements
// ring.BasicLifecyclerDelegate.
type delegate struct{ m *Member }

// OnRingInstanceRegister implements ring.BasicLifecyclerDelegate.
func (d delegate) OnRingInstanceRegister(l *ring.BasicLifecycler, desc ring.Desc, known bool, id string, self ring.InstanceDesc) (ring.InstanceState, ring.Tokens) {
	var mine ring.Tokens
	if known {
		mine = self.GetTokens()
		if self.Addr != d.m.addr {
			d.m.logger.Warn("this -instance.id was at another address; if a process still runs there, give it another one", "id", id, "address", d.m.addr, "before", self.Addr)
		}
		d.m.lost.Store(d.m.role.Probation > 0 && d.m.tokens.gone())
	}
	if len(mine) == 0 {
		var err error
		if mine, err = d.m.tokens.load(); err != nil {
			d.m.logger.Error("tokens file cannot be used; this process gets another place on the ring", "file", string(d.m.tokens), "err", err)
		}
	}
	return ring.PENDING, d.fill(l, &desc, mine)
}

// fill returns mine without those that others have, and with as many new ones
// as are wanted.
func (d delegate) fill(l *ring.BasicLifecycler, desc *ring.Desc, mine ring.Tokens) ring.Tokens {
	others := map[uint32]bool{}
	var taken []uint32
	for id, p := range desc.Ingesters {
		if id != l.GetInstanceID() {
			for _, t := range p.Tokens {
				others[t] = true
			}
			taken = append(taken, p.Tokens...)
		}
	}
	kept := make(ring.Tokens, 0, traits[d.m.name].tokens)
	for _, t := range mine {
		if !others[t] {
			kept = append(kept, t)
		}
	}
	return append(kept, l.GetTokenGenerator().GenerateTokens(traits[d.m.name].tokens-len(kept), append(taken, kept...))...)
}

// OnRingInstanceTokens implements ring.BasicLifecyclerDelegate.
func (d delegate) OnRingInstanceTokens(_ *ring.BasicLifecycler, tokens ring.Tokens) {
	if d.m.lost.Load() {
		return // the file says that nothing was lost
	}
	if err := d.m.tokens.save(tokens); err != nil {
		d.m.logger.Error("tokens file cannot be written; after a restart this process gets another place on the ring", "file", string(d.m.tokens), "err", err)
	}
}

// OnRingInstanceStopping implements ring.BasicLifecyclerDelegate.
func (d delegate) OnRingInstanceStopping(*ring.BasicLifecycler) {}

// OnRingInstanceHeartbeat implements ring.BasicLifecyclerDelegate.
func (d delegate) OnRingInstanceHeartbeat(l *ring.BasicLifecycler, desc *ring.Desc, self *ring.InstanceDesc) {
	if self.Addr != d.m.addr {
		d.m.cluster.metrics.twins.Inc()
		d.m.logger.Error("another process has the same -instance.id", "id", self.Id, "address", d.m.addr, "other", self.Addr)
	}
	// Two processes that join at the same time may draw the same token; gossip
	// leaves it to one of them.
	if len(self.Tokens) < traits[d.m.name].tokens {
		d.m.logger.Warn("tokens lost to another member are replaced", "lost", traits[d.m.name].tokens-len(self.Tokens))
		tokens := d.fill(l, desc, self.Tokens)
		slices.Sort(tokens)
		self.Tokens = tokens
		d.OnRingInstanceTokens(l, tokens)
	}
	d.m.forgetDead(desc)
}
