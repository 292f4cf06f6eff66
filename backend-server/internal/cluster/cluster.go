package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/grafana/dskit/kv/codec"
	"github.com/grafana/dskit/kv/memberlist"
	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"
	sockaddr "github.com/hashicorp/go-sockaddr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/logging"
)

// Deps is what a Cluster needs from the process.
type Deps struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// DataDir holds the tokens files, unless they are configured. It must exist
	// when members start.
	DataDir string
	// Port is asked, when members start, for the port that is published with
	// -instance.addr if that has none: that of gRPC.
	Port func() int
}

// Cluster is this process's part in the cluster: it gossips, and keeps the
// rings that were asked for up to date. It is a service; Rings and Members may
// be made before it runs, and Members must be stopped before it.
type Cluster struct {
	services.Service
	cfg     Config
	deps    Deps
	store   *store
	metrics *metrics
	rings   map[Name]*Ring
	members map[Name]*Member
	kv      *memberlist.KVInitService // nil alone
	front   *front                    // nil without TLS
	views   *services.Manager         // of rings
	failed  failure
}

// New returns a cluster that does not run yet. cfg must be valid.
func New(cfg Config, deps Deps) *Cluster {
	c := &Cluster{
		cfg: cfg, deps: deps, store: newStore(cfg.Instance.ID), metrics: newMetrics(deps.Registerer),
		rings: map[Name]*Ring{}, members: map[Name]*Member{}, failed: newFailure(),
	}
	c.Service = services.NewBasicService(c.start, c.run, c.stop).WithName("cluster")
	return c
}

// Alone reports whether the process was told of no others.
func (c *Cluster) Alone() bool { return c.cfg.Alone() }

// Ring returns the view of a ring. It may be called before the cluster runs
// only, and not by two goroutines.
func (c *Cluster) Ring(name Name) (*Ring, error) {
	if r := c.rings[name]; r != nil {
		return r, nil
	}
	if s := c.State(); s != services.New {
		return nil, fmt.Errorf("%s ring: the cluster is %s already", name, s)
	}
	r, err := newRing(c, name)
	if err == nil {
		c.rings[name] = r
	}
	return r, err
}

// failure receives the first failure of the services it watches.
type failure chan error

func newFailure() failure { return make(chan error, 1) }

func (f failure) watch(name string, s services.Service) {
	s.AddListener(services.NewListener(nil, nil, nil, nil, func(_ services.State, err error) {
		select {
		case f <- fmt.Errorf("%s: %w", name, err):
		default:
		}
	}))
}

// tuning makes gossip faster, for tests; zero values change nothing.
type tuning struct {
	gossip, pushPull, rejoin time.Duration
}

func (c *Cluster) start(ctx context.Context) error {
	err := c.startStore(ctx)
	if err == nil {
		err = c.startRings(ctx)
	}
	if err != nil {
		return errors.Join(err, c.stop(err))
	}
	return nil
}

func (c *Cluster) startStore(ctx context.Context) error {
	if c.Alone() {
		c.store.set(newLocal())
		return nil
	}
	return c.startGossip(ctx)
}

func (c *Cluster) startRings(ctx context.Context) error {
	if len(c.rings) == 0 {
		return nil
	}
	var parts []services.Service
	for _, r := range c.rings {
		c.failed.watch(string(r.name)+" ring", r.ring)
		parts = append(parts, r.ring)
	}
	var err error
	if c.views, err = services.NewManager(parts...); err == nil {
		err = c.views.StartAsync(context.WithoutCancel(ctx))
	}
	if err == nil {
		err = c.views.AwaitHealthy(ctx)
	}
	if err != nil {
		return fmt.Errorf("start rings: %w", err)
	}
	return nil
}

// startGossip joins the cluster, if there is one to be found already.
func (c *Cluster) startGossip(ctx context.Context) error {
	cfg, err := c.gossipConfig()
	if err != nil {
		return err
	}
	logger := logging.Kit(c.deps.Logger)
	c.kv = memberlist.NewKVInitService(cfg, logger, &seeds{dns: net.DefaultResolver}, c.deps.Registerer)
	c.failed.watch("gossip", c.kv)
	// Parts outlive ctx: they are stopped in order, by stop.
	if err := services.StartAndAwaitRunning(context.WithoutCancel(ctx), c.kv); err != nil {
		return err
	}
	gossip, err := c.kv.GetMemberlistKV()
	if err == nil {
		err = gossip.AwaitRunning(ctx)
	}
	if err != nil {
		return fmt.Errorf("start gossip (-memberlist.bind-addr, -memberlist.bind-port): %w", err)
	}
	client, err := memberlist.NewClient(gossip, ring.GetCodec())
	if err != nil {
		return err
	}
	c.store.set(client)
	return nil
}

// Times of gossip. The rest is dskit's choice.
const (
	rejoinInterval = time.Minute // a partition may outlast memberlist's patience
	notifyInterval = 250 * time.Millisecond
	leaveTimeout   = 3 * time.Second
	writers        = 8 // packets on their way at a time; a dead peer holds one up
	tombstones     = 5 * time.Minute
)

func (c *Cluster) gossipConfig() (*memberlist.KVConfig, error) {
	g, cfg := c.cfg.Gossip, new(memberlist.KVConfig)
	cfg.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError)) // sets the defaults
	cfg.NodeName = c.cfg.Instance.ID
	cfg.JoinMembers = g.Join.Values
	cfg.ClusterLabel = g.ClusterLabel
	cfg.AdvertiseAddr, cfg.AdvertisePort = g.AdvertiseAddr, g.AdvertisePort
	if cfg.AdvertisePort == 0 {
		cfg.AdvertisePort = g.BindPort
	}
	cfg.TCPTransport.BindPort = g.BindPort
	if g.BindAddr != "" {
		cfg.TCPTransport.BindAddrs = []string{g.BindAddr}
	}
	cfg.TCPTransport.MaxConcurrentWrites = writers
	cfg.EnableCompression = false // values are compressed already
	cfg.Codecs = []codec.Codec{ring.GetCodec()}
	cfg.RejoinInterval = rejoinInterval
	cfg.NotifyInterval = notifyInterval
	cfg.LeftIngestersTimeout = tombstones
	cfg.LeaveTimeout, cfg.BroadcastTimeoutForLocalUpdatesOnShutdown = leaveTimeout, leaveTimeout
	if t := c.cfg.tuning; t.gossip > 0 {
		cfg.GossipInterval, cfg.PushPullInterval, cfg.RejoinInterval = t.gossip, t.pushPull, t.rejoin
		cfg.NotifyInterval = t.gossip
		cfg.LeaveTimeout, cfg.BroadcastTimeoutForLocalUpdatesOnShutdown = t.pushPull, t.pushPull
	}
	if g.TLS.On() {
		return cfg, c.encrypt(cfg)
	}
	return cfg, nil
}

// advertised returns the IP address that others reach this process by.
func (c *Cluster) advertised() (string, error) {
	g := c.cfg.Gossip
	if g.AdvertiseAddr != "" {
		return g.AdvertiseAddr, nil
	}
	if ip := net.ParseIP(g.BindAddr); ip != nil && !ip.IsUnspecified() {
		return g.BindAddr, nil
	}
	if c.Alone() {
		return "127.0.0.1", nil
	}
	ip, err := sockaddr.GetPrivateIP()
	if err != nil || ip == "" {
		return "", errors.Join(errors.New("no private IP address was found to advertise; set -memberlist.advertise-addr, and -instance.addr if that differs"), err)
	}
	return ip, nil
}

// addr returns the host and port that others reach this process's roles by.
func (c *Cluster) addr() (string, error) {
	host, port := splitAddr(c.cfg.Instance.Addr)
	if host == "" {
		var err error
		if host, err = c.advertised(); err != nil {
			return "", err
		}
	}
	if port == "" {
		port = strconv.Itoa(c.deps.Port())
	}
	return net.JoinHostPort(host, port), nil
}

// tokensFile returns where a ring's tokens are kept, or "" if they are not.
func (c *Cluster) tokensFile(name Name) string {
	switch file := c.cfg.rings()[name].TokensFile; {
	case !traits[name].keepsTokens || c.Alone():
		return ""
	case file != "":
		return file
	}
	return filepath.Join(c.deps.DataDir, string(name)+"-tokens.json")
}

func (c *Cluster) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-c.failed:
		return err
	}
}

// stop ends what start has begun: the rings, then gossip.
func (c *Cluster) stop(error) error {
	var err error
	if c.views != nil {
		err = services.StopManagerAndAwaitStopped(context.Background(), c.views)
	}
	for _, r := range c.rings {
		r.sends.close()
	}
	return errors.Join(err, c.stopGossip())
}

func (c *Cluster) stopGossip() error {
	var err error
	if c.kv != nil {
		err = services.StopAndAwaitTerminated(context.Background(), c.kv)
	}
	if c.front != nil {
		c.front.close()
	}
	return err
}

// Ready says what keeps this process from taking part in the cluster, or nil.
func (c *Cluster) Ready() error {
	if s := c.State(); s != services.Running {
		return fmt.Errorf("the cluster is %s", s)
	}
	for _, name := range Names() {
		if m := c.members[name]; m != nil {
			if err := m.Ready(); err != nil {
				return err
			}
		}
	}
	return nil
}
