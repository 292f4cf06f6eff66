package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/grafana/dskit/services"
	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/job"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/replicate"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/store"
)

// peers is what a member of a cluster has besides its roles: a port for other
// processes, connections to them, and the rings.
type peers struct {
	cluster *cluster.Cluster
	server  *rpc.Server
	pool    *rpc.Pool
	pushes  *replicate.Client // nil without a distributor
	rings   map[cluster.Name]*cluster.Ring
}

// openPeers takes the port for other processes, unless this one is alone.
func (a *App) openPeers() error {
	if a.cfg.Cluster.Alone() {
		return nil
	}
	logger := a.logger.With("component", "rpc")
	tracing := rpc.WithTracing(a.tracing.Provider())
	identity := rpc.WithIdentity(a.cfg.Cluster.Gossip.ClusterLabel, a.cfg.Cluster.Instance.ID)
	p := &peers{rings: map[cluster.Name]*cluster.Ring{}}
	a.peers = p
	var err error
	if p.server, err = rpc.NewServer(a.cfg.RPC, a.registry, logger, tracing, identity); err != nil {
		return err
	}
	if p.pool, err = rpc.NewPool(a.cfg.RPC, a.registry, logger, tracing, identity); err != nil {
		return err
	}
	p.cluster = cluster.New(a.cfg.Cluster, cluster.Deps{
		Logger: a.logger.With("component", membership), Registerer: a.registry, DataDir: a.cfg.Ingester.DataPath, Port: p.server.Port,
	})
	return p.server.Listen(context.Background())
}

func (p *peers) close() error {
	var errs []error
	if p.pushes != nil {
		errs = append(errs, p.pushes.Close())
	}
	if p.pool != nil {
		errs = append(errs, p.pool.Close())
	}
	if p.server != nil {
		_ = p.server.Close() // closed already if Serve ran
	}
	return errors.Join(errs...)
}

// tidyInterval is how often connections to processes that are gone are dropped.
const tidyInterval = time.Minute

// tidy drops connections to processes that are on no ring any more, until ctx
// ends.
func (p *peers) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if addrs, err := p.addrs(ctx); err == nil {
			p.pool.Retain(addrs)
		}
	}
}

// addrs returns the addresses of all members of all rings.
func (p *peers) addrs(ctx context.Context) ([]string, error) {
	var out []string
	for _, ring := range p.rings {
		members, err := ring.All(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			out = append(out, m.Addr)
		}
	}
	return out, nil
}

// servePeers lets other processes push to the roles of this one, ask them and
// read from them.
func (a *App) servePeers() {
	if a.peers == nil {
		return
	}
	var s store.Stores
	if a.ingester != nil {
		s.Ingester = a.local(replica.ByRange(a.ingester.View))
		replicate.NewServer(a.ingester, a.registry, a.logger.With("component", Ingester)).Register(a.peers.server)
	}
	if a.scheduler != nil {
		job.Register(a.peers.server, a.scheduler)
	}
	if a.gateway != nil {
		s.Gateway, s.Learn, s.LearnDeletions, s.Overview = a.local(a.inGateway), a.gateway.Learn, a.gateway.LearnDeletions, a.overview
	}
	store.Register(a.peers.server, s)
}

func (a *App) local(view replica.View) replica.Store {
	return replica.NewLocal(view, a.engine.Engine, a.engine.Digester)
}

// directory returns where this process finds stores.
func (a *App) directory() *directory {
	d := &directory{
		peers: a.peers, self: a.cfg.Cluster.Instance.ID,
		lookback: a.cfg.Ingester.MaxBlockDuration + a.cfg.Ingester.Disk.LocalRetention + lookbackMargin,
	}
	if a.ingester != nil {
		d.ingester = a.local(replica.ByRange(a.ingester.View))
	}
	if a.gateway != nil {
		d.gateway, d.overview = a.local(a.inGateway), a.overview
	}
	return d
}

// inGateway is the view of this process's store-gateway.
func (a *App) inGateway(ctx context.Context, tenantID string, q *question.Question) ([]query.Queryable, func(), error) {
	return a.gateway.View(ctx, tenantID, wanted(q))
}

func (a *App) overview(ctx context.Context, tenantID string, q *question.Question) (catalog.Overview, error) {
	return a.gateway.Overview(ctx, tenantID, wanted(q))
}

func wanted(q *question.Question) storegateway.Wanted {
	return storegateway.Wanted{Range: q.Interval(), Matchers: q.AnyOf(), Only: q.Only}
}

// lookbackMargin is for the time that shipping takes.
const lookbackMargin = 2 * time.Hour

// initCluster makes this process's part in the cluster; alone there is none.
func (a *App) initCluster() (services.Service, error) {
	if a.peers == nil {
		return nil, nil
	}
	for _, name := range cluster.Names() {
		ring, err := a.peers.cluster.Ring(name)
		if err != nil {
			return nil, err
		}
		a.peers.rings[name] = ring
	}
	a.checks = append(a.checks, check{membership, a.peers.cluster.Ready})
	return a.peers.cluster, nil
}

// join makes a role a member of its ring; alone it is just the role.
func (a *App) join(name cluster.Name, role cluster.Role) (services.Service, error) {
	if a.peers == nil {
		return role.Service, nil
	}
	return a.peers.cluster.Member(name, role)
}

// directory tells queriers where the stores are. It implements
// querier.Directory.
type directory struct {
	*peers
	self string
	// What this process has itself, nil if it plays another role.
	ingester, gateway replica.Store
	overview          func(ctx context.Context, tenantID string, q *question.Question) (catalog.Overview, error)
	// lookback is how long ago a profile may have been taken in that only an
	// ingester has.
	lookback time.Duration
}

// Ingesters implements querier.Directory.
func (d *directory) Ingesters(ctx context.Context, tenantID string) (cluster.Set, error) {
	return d.rings[cluster.Ingester].Readers(ctx, tenantID, d.lookback)
}

// Gateways implements querier.Directory: those that the tenant lies on, this
// process first.
func (d *directory) Gateways(_ context.Context, tenantID string) ([]cluster.Peer, error) {
	ring := d.rings[cluster.StoreGateway]
	set, err := ring.Replicas(tenantID, 0)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(set.Instances)
	for _, p := range ring.Active() { // the others, should those fail
		if !slices.ContainsFunc(out, func(o cluster.Peer) bool { return o.Id == p.Id }) {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(x, y cluster.Peer) int {
		switch {
		case x.Id == d.self && y.Id != d.self:
			return -1
		case y.Id == d.self && x.Id != d.self:
			return 1
		}
		return 0
	})
	return out, nil
}

// Owners implements querier.Directory: the members that the block lies on, this
// process first.
func (d *directory) Owners(tenantID string, block ulid.ULID) []string {
	set, err := d.rings[cluster.StoreGateway].Replicas(tenantID, xxhash.Sum64(block[:]))
	if err != nil {
		return nil // then any one will do
	}
	out := make([]string, 0, len(set.Instances))
	for _, p := range set.Instances {
		if p.Id == d.self {
			out = slices.Insert(out, 0, p.Id)
		} else {
			out = append(out, p.Id)
		}
	}
	return out
}

// Overview implements querier.Directory.
func (d *directory) Overview(ctx context.Context, p cluster.Peer, tenantID string, q *question.Question) (catalog.Overview, error) {
	if p.Id == d.self && d.overview != nil {
		return d.overview(ctx, tenantID, q)
	}
	conn, err := d.pool.Member(p.Id, p.Addr)
	if err != nil {
		return catalog.Overview{}, err
	}
	o, err := store.Overview(ctx, conn, tenantID, q)
	if fault.Is(err, fault.Unimplemented) {
		return catalog.Overview{Unsplit: true}, nil
	}
	return o, err
}

// Ingester implements querier.Directory.
func (d *directory) Ingester(p cluster.Peer) (replica.Store, error) {
	if p.Id == d.self && d.ingester != nil {
		return d.ingester, nil
	}
	conn, err := d.pool.Member(p.Id, p.Addr)
	if err != nil {
		return nil, err
	}
	return store.Ingester(conn), nil
}

// Gateway implements querier.Directory.
func (d *directory) Gateway(p cluster.Peer) (replica.Store, error) {
	if p.Id == d.self && d.gateway != nil {
		return d.gateway, nil
	}
	conn, err := d.pool.Member(p.Id, p.Addr)
	if err != nil {
		return nil, err
	}
	return store.Gateway(conn), nil
}

// learnTimeout bounds telling one store-gateway of a block.
const learnTimeout = 10 * time.Second

// announce tells store-gateways that a block has arrived in the bucket.
func (a *App) announce(ctx context.Context, gateways []cluster.Peer, tenantID string, id ulid.ULID) error {
	errs := make([]error, len(gateways))
	var running sync.WaitGroup
	for i, p := range gateways {
		running.Go(func() {
			if err := a.tell(ctx, p, tenantID, id); err != nil {
				errs[i] = fmt.Errorf("store-gateway %s: %w", p.Id, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (a *App) tell(ctx context.Context, p cluster.Peer, tenantID string, id ulid.ULID) error {
	if a.gateway != nil && p.Id == a.cfg.Cluster.Instance.ID {
		return a.gateway.Learn(ctx, tenantID, id)
	}
	conn, err := a.peers.pool.Member(p.Id, p.Addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	return store.Learn(ctx, conn, tenantID, id)
}

// shipped is told of blocks that have arrived in the bucket. A store-gateway
// that it does not reach finds them by itself, at the latest when it lists the
// bucket again; until then they are read from here.
func (a *App) shipped(ctx context.Context, tenantID string, id ulid.ULID) {
	if a.peers == nil {
		if a.gateway != nil {
			a.gateway.Notify(ctx, tenantID, id)
		}
		return
	}
	if err := a.announce(ctx, a.peers.rings[cluster.StoreGateway].Active(), tenantID, id); err != nil {
		a.logger.Warn("not all store-gateways know of a new block yet", "tenant", tenantID, "block", id, "err", err)
	}
}

// inBucket returns nil if the bucket has the whole block, or those that have
// taken its place, and whoever reads the bucket shows it. Of a cluster these are
// all members of the ring: one that is not heard of may be read from by others
// all the same, until it is forgotten.
func (a *App) inBucket(ctx context.Context, tenantID string, meta *block.Meta) error {
	ids, err := catalog.Holds(ctx, a.bucket, tenantID, meta)
	if err != nil {
		return err
	}
	if a.peers == nil {
		for _, id := range ids {
			err = errors.Join(err, a.gateway.Learn(ctx, tenantID, id))
		}
		return err
	}
	gateways, err := a.peers.rings[cluster.StoreGateway].All(ctx)
	if err == nil && len(gateways) == 0 {
		err = fault.New(fault.Unavailable, "there is no store-gateway to read block %s from", meta.ID)
	}
	for _, id := range ids {
		err = errors.Join(err, a.announce(ctx, gateways, tenantID, id))
	}
	return err
}
