package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/grafana/dskit/ring"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/logging"
)

// Peer is a member of a ring as it describes itself: Id, Addr, Zone, State.
type Peer = ring.InstanceDesc

// Set is members that are asked or written to together, and how many of them,
// or of their zones, may fail.
type Set = ring.ReplicationSet

// Ring is a ring as seen from this process. It may be used by many goroutines
// while the Cluster runs.
type Ring struct {
	name  Name
	cfg   RingConfig
	rf    int
	id    string
	ring  *ring.Ring
	store *store
	sends sends
}

// The two things that members of a ring are asked for. That a member is healthy
// is checked besides.
var (
	writing = ring.NewOp([]ring.InstanceState{ring.ACTIVE, ring.JOINING}, nil)
	reading = ring.NewOp([]ring.InstanceState{ring.ACTIVE, ring.LEAVING}, nil)
)

func newRing(c *Cluster, name Name) (*Ring, error) {
	r := &Ring{name: name, cfg: *c.cfg.rings()[name], rf: c.cfg.Replication(name), id: c.cfg.Instance.ID, store: c.store}
	need := 1
	if traits[name].quorum {
		need = r.rf/2 + 1
	}
	var err error
	r.ring, err = ring.NewWithStoreClientAndStrategy(ring.Config{
		HeartbeatTimeout:     r.cfg.HeartbeatTimeout,
		ReplicationFactor:    r.rf,
		ZoneAwarenessEnabled: r.cfg.ZoneAwareness,
	}, string(name), string(name), c.store, &picker{ring: name, rf: r.rf, need: need}, c.deps.Registerer, logging.Kit(c.deps.Logger))
	if err != nil {
		return nil, fmt.Errorf("%s ring: %w", name, err)
	}
	return r, nil
}

// ReplicationFactor returns how many members keep a copy.
func (r *Ring) ReplicationFactor() int { return r.rf }

// Replicas returns the members that keep the thing with this hash (see Token)
// of a tenant: the first that follow on the ring and are written to (ACTIVE or
// JOINING), in different zones if zones count. A write is done when all but MaxErrors of them have it
// (R1). There is an error, fault.Unavailable, if there are not enough members.
func (r *Ring) Replicas(tenant string, hash uint64) (Set, error) {
	return r.replicas(r.shard(tenant), Token(tenant, hash))
}

// shard returns the part of the ring that a tenant is given.
func (r *Ring) shard(tenant string) ring.ReadRing {
	if r.cfg.ShardSize > 0 {
		return r.ring.ShuffleShard(tenant, r.cfg.ShardSize)
	}
	return r.ring
}

func (r *Ring) replicas(shard ring.ReadRing, token uint32) (Set, error) {
	set, err := shard.GetWithOptions(token, writing, ring.WithReplicationFactor(spare*r.rf))
	if errors.Is(err, ring.ErrEmptyRing) {
		return Set{}, fault.New(fault.Unavailable, "the %s ring has no members", r.name)
	}
	return set, err
}

// Owns reports whether this process is one of the Replicas of a thing.
func (r *Ring) Owns(tenant string, hash uint64) (bool, error) {
	set, err := r.Replicas(tenant, hash)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(set.Instances, func(p Peer) bool { return p.Id == r.id }), nil
}

// Readers returns the members to ask for what a tenant has written, such that
// nothing acknowledged is missed (R2): an answer is complete if all but
// MaxErrors members of the set have answered, or, where zones count, all
// members of all but MaxUnavailableZones zones; Set.Do and ring.DoUntilQuorum
// know that. lookback is how long ago a write may have been that only
// these members have; it matters when a tenant's shard has changed since.
//
// The error, fault.Unavailable, names the members that are missing.
func (r *Ring) Readers(ctx context.Context, tenant string, lookback time.Duration) (Set, error) {
	shard := ring.ReadRing(r.ring)
	if r.cfg.ShardSize > 0 {
		shard = r.ring.ShuffleShardWithLookback(tenant, r.cfg.ShardSize, lookback, time.Now())
	}
	set, err := shard.GetReplicationSetForOperation(reading)
	switch {
	case errors.Is(err, ring.ErrEmptyRing):
		return Set{}, fault.New(fault.Unavailable, "the %s ring has no members", r.name)
	case errors.Is(err, ring.ErrTooManyUnhealthyInstances):
		return Set{}, r.tooFew(ctx, shard)
	}
	return set, err
}

// tooFew is the error for a read that might miss something.
func (r *Ring) tooFew(ctx context.Context, shard ring.ReadRing) error {
	missing := []string{}
	desc, err := r.store.ring(ctx, r.name)
	if err != nil {
		return err
	}
	now := time.Now()
	for id, p := range desc.Ingesters {
		if shard.HasInstance(id) && !p.IsHealthy(reading, r.cfg.HeartbeatTimeout, now) {
			missing = append(missing, fmt.Sprintf("%s (%s, last heard of %s ago)", id, stateOf(&p, r.cfg.HeartbeatTimeout, now), age(&p, now)))
		}
	}
	if len(missing) <= r.rf/2 { // news that this process's view of the ring does not have yet
		return fault.New(fault.Unavailable, "too many members of the %s ring could not be read from until now, answers might miss profiles; they are back, try again", r.name)
	}
	slices.Sort(missing)
	what := "members"
	if r.cfg.ZoneAwareness {
		what = "zones"
	}
	return fault.New(fault.Unavailable, "too many members of the %s ring cannot be read from, answers might miss profiles: of %d members, %d are missing: %s; with %d replicas, %d %s may be",
		r.name, shard.InstancesCount(), len(missing), strings.Join(missing, ", "), r.rf, r.rf/2, what)
}

// Active returns the members that take work, by ID: where a query-scheduler is
// found, among how many distributors a limit is shared.
func (r *Ring) Active() []Peer {
	set, err := r.ring.GetAllHealthy(writing)
	if err != nil { // only if there are none
		return nil
	}
	slices.SortFunc(set.Instances, func(a, b Peer) int { return cmp.Compare(a.Id, b.Id) })
	return set.Instances
}

// All returns every member that the ring has, whatever its state, by ID: whom
// there may be something to ask of, or to keep a connection to.
func (r *Ring) All(ctx context.Context) ([]Peer, error) {
	desc, err := r.store.ring(ctx, r.name)
	if err != nil {
		return nil, fmt.Errorf("%s ring: %w", r.name, err)
	}
	all := slices.Collect(maps.Values(desc.Ingesters))
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Compare(a.Id, b.Id) })
	return all, nil
}

// Unhealthy is the state of a member that was not heard of for too long.
const Unhealthy = "UNHEALTHY"

// stateOf names the state of a member.
func stateOf(p *Peer, timeout time.Duration, now time.Time) string {
	if !p.IsHeartbeatHealthy(timeout, now) {
		return Unhealthy
	}
	return p.State.String()
}

// age tells how long ago a member was heard of.
func age(p *Peer, now time.Time) time.Duration {
	return max(0, now.Sub(time.Unix(p.Timestamp, 0)).Truncate(time.Second))
}
