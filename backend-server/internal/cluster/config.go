package cluster

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/certs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config is everything about finding other processes and being found.
type Config struct {
	Gossip   Gossip
	Instance Instance

	Ingester, Distributor, QueryScheduler, StoreGateway, Compactor RingConfig

	tuning tuning // tests make gossip faster
}

// Gossip says how processes talk about membership.
type Gossip struct {
	BindAddr      string
	BindPort      int // 0: any free one
	AdvertiseAddr string
	AdvertisePort int
	Join          config.List
	ClusterLabel  string

	TLS           certs.Files
	TLSServerName string
}

// Instance is who this process is, on every ring.
type Instance struct {
	ID   string
	Addr string // host or host:port; empty: detected
	Zone string
}

// RingConfig is what can be set for one ring. The settings that a ring has no
// use for have no flag and keep their zero value.
type RingConfig struct {
	ReplicationFactor int // 0: 3, or 1 alone
	ZoneAwareness     bool
	ShardSize         int // members a tenant is given; 0: all
	TokensFile        string
	HeartbeatPeriod   time.Duration
	HeartbeatTimeout  time.Duration
	ForgetAfter       time.Duration // 0: never
}

// rings pairs the settings of the rings with their names.
func (c *Config) rings() map[Name]*RingConfig {
	return map[Name]*RingConfig{
		Ingester: &c.Ingester, Distributor: &c.Distributor, QueryScheduler: &c.QueryScheduler,
		StoreGateway: &c.StoreGateway, Compactor: &c.Compactor,
	}
}

// Alone reports whether the process was told of no others.
func (c *Config) Alone() bool { return len(c.Gossip.Join.Values) == 0 }

// Replication returns the replication factor of a ring.
func (c *Config) Replication(name Name) int {
	switch rf := c.rings()[name].ReplicationFactor; {
	case rf > 0:
		return rf
	case traits[name].replicated && !c.Alone():
		return defaultReplication
	}
	return 1
}

const defaultReplication = 3

// RegisterFlags declares the flags of the cluster, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	c.Gossip.registerFlags(f)
	host, _ := os.Hostname() // Validate finds an empty one
	f.StringVar(&c.Instance.ID, "instance.id", host, "Name of this process in the cluster; no two may have the same. A process that comes back keeps its place by it.")
	f.StringVar(&c.Instance.Addr, "instance.addr", "", "Host, or host:port, at which other processes reach this one. Empty: the address that gossip advertises, with the port of -server.grpc-listen-port.")
	f.StringVar(&c.Instance.Zone, "instance.zone", "", "Zone, such as a rack or data centre, that fails as a whole.")
	for _, name := range Names() {
		c.rings()[name].registerFlags(name, f)
	}
}

func (g *Gossip) registerFlags(f *flag.FlagSet) {
	f.StringVar(&g.BindAddr, "memberlist.bind-addr", "", "IP address to listen on for gossip; empty means all interfaces.")
	f.IntVar(&g.BindPort, "memberlist.bind-port", 7946, "TCP port for gossip.")
	f.StringVar(&g.AdvertiseAddr, "memberlist.advertise-addr", "", "IP address that others use for gossip with this process. Empty: detected.")
	f.IntVar(&g.AdvertisePort, "memberlist.advertise-port", 0, "Port that others use for gossip with this process. 0: the one it listens on.")
	f.Var(&g.Join, "memberlist.join", "Members to find the cluster by: host:port, or the name of all of them as dns+host:port, dnssrv+name or dnssrvnoa+name. May be repeated; may name this process itself. Without it the process is alone and opens no port for gossip.")
	f.StringVar(&g.ClusterLabel, "memberlist.cluster-label", "", "Label that all members of a cluster share; gossip with another label is ignored. Keeps clusters apart that could reach each other.")
	g.TLS.RegisterFlags(f, "memberlist.tls", "for gossip, for both directions. With it, all members must prove who they are.", "Certificates of the authorities that may sign those of members.")
	f.StringVar(&g.TLSServerName, "memberlist.tls-server-name", "", "Name that the certificates of members must have. Empty: their IP address.")
}

func (r *RingConfig) registerFlags(name Name, f *flag.FlagSet) {
	t, ring := traits[name], string(name)+".ring."
	f.DurationVar(&r.HeartbeatPeriod, ring+"heartbeat-period", heartbeat, "How often this process tells the "+string(name)+" ring that it is alive.")
	f.DurationVar(&r.HeartbeatTimeout, ring+"heartbeat-timeout", heartbeatTimeout, "Members of the "+string(name)+" ring that were not heard of for so long are left out.")
	f.DurationVar(&r.ForgetAfter, ring+"auto-forget-after", t.forget, "Members of the "+string(name)+" ring that were not heard of for so long are removed, by those who see most of the cluster. 0 means never.")
	if t.keepsTokens {
		f.StringVar(&r.TokensFile, ring+"tokens-file-path", "", "File for this process's tokens on the "+string(name)+" ring, so that it comes back to the same place. Empty: a file in -db.data-path.")
	}
	if t.replicated {
		f.IntVar(&r.ReplicationFactor, ring+"replication-factor", 0, t.help.replicas+" 0 means 3, or 1 for a process that is alone.")
		f.BoolVar(&r.ZoneAwareness, ring+"zone-awareness-enabled", false, t.help.zones+" All members need an -instance.zone.")
		f.IntVar(&r.ShardSize, t.shardFlag, 0, t.help.shard+" 0 means all.")
	}
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	problems := c.Gossip.validate()
	if !isID(c.Instance.ID) {
		problems = append(problems, config.Problem("instance.id", c.Instance.ID, "1 to 128 letters, digits and characters of -_.:"))
	}
	if !isZone(c.Instance.Zone) {
		problems = append(problems, config.Problem("instance.zone", c.Instance.Zone, "at most 64 letters, digits and characters of -_.:"))
	}
	if host, port := splitAddr(c.Instance.Addr); c.Instance.Addr != "" && (host == "" || strings.ContainsAny(host, " /") || (port != "" && !isPort(port))) {
		problems = append(problems, config.Problem("instance.addr", c.Instance.Addr, "a host or host:port"))
	}
	for _, name := range Names() {
		problems = append(problems, c.validateRing(name)...)
	}
	return problems
}

// maxReplication bounds what a typing error may do.
const maxReplication = 15

func (c *Config) validateRing(name Name) []error {
	var problems []error
	r, ring := c.rings()[name], string(name)+".ring."
	bad := func(flag string, value any, want string) {
		problems = append(problems, config.Problem(flag, value, want))
	}
	// Heartbeats are stored in seconds.
	if r.HeartbeatPeriod < time.Second {
		bad(ring+"heartbeat-period", r.HeartbeatPeriod, "a duration of at least 1s")
	}
	if r.HeartbeatTimeout < 2*r.HeartbeatPeriod {
		bad(ring+"heartbeat-timeout", r.HeartbeatTimeout, fmt.Sprintf("at least twice -%sheartbeat-period, %s", ring, 2*r.HeartbeatPeriod))
	}
	if r.ForgetAfter != 0 && r.ForgetAfter < r.HeartbeatTimeout {
		bad(ring+"auto-forget-after", r.ForgetAfter, fmt.Sprintf("0 for never, or at least -%sheartbeat-timeout, %s", ring, r.HeartbeatTimeout))
	}
	if r.ReplicationFactor < 0 || r.ReplicationFactor > maxReplication {
		bad(ring+"replication-factor", r.ReplicationFactor, fmt.Sprintf("a whole number from 1 to %d, or 0 for the default", maxReplication))
	} else if r.ReplicationFactor > 1 && c.Alone() {
		bad(ring+"replication-factor", r.ReplicationFactor, "1 or 0 for a process that is alone; -memberlist.join tells it of others")
	}
	if r.ZoneAwareness && c.Instance.Zone == "" {
		bad("instance.zone", "", "the zone of this process, since -"+ring+"zone-awareness-enabled is set")
	}
	if rf := c.Replication(name); r.ShardSize < 0 || (r.ShardSize > 0 && r.ShardSize < rf) {
		bad(traits[name].shardFlag, r.ShardSize, fmt.Sprintf("0 for all, or at least the replication factor, %d", rf))
	}
	return problems
}

// maxLabel is memberlist's limit.
const maxLabel = 255

func (g *Gossip) validate() []error {
	var problems []error
	bad := func(flag string, value any, want string) {
		problems = append(problems, config.Problem("memberlist."+flag, value, want))
	}
	if g.BindAddr != "" && net.ParseIP(g.BindAddr) == nil {
		bad("bind-addr", g.BindAddr, "an IP address, or nothing for all interfaces")
	}
	if g.BindPort < 0 || g.BindPort > 65535 {
		bad("bind-port", g.BindPort, "a port from 1 to 65535, or 0 for any free one")
	}
	if g.AdvertiseAddr != "" && net.ParseIP(g.AdvertiseAddr) == nil {
		bad("advertise-addr", g.AdvertiseAddr, "an IP address, or nothing to have it detected")
	}
	if g.AdvertisePort < 0 || g.AdvertisePort > 65535 {
		bad("advertise-port", g.AdvertisePort, "a port from 1 to 65535, or 0 for the one that is listened on")
	}
	for _, member := range g.Join.Values {
		if want := joinProblem(member); want != "" {
			bad("join", member, want)
		}
	}
	if len(g.ClusterLabel) > maxLabel {
		bad("cluster-label", g.ClusterLabel, fmt.Sprintf("at most %d bytes", maxLabel))
	}
	return append(problems, g.TLS.Validate("memberlist.tls", true)...)
}

// joinProblem says what is wanted instead of a member to join, or "".
func joinProblem(member string) string {
	kind, name, ok := strings.Cut(member, "+")
	if !ok {
		kind, name = "", member
	}
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		host, port = name, ""
	}
	switch {
	case host == "" || strings.ContainsAny(name, " /+"):
		return "host:port, dns+host:port, dnssrv+name or dnssrvnoa+name"
	case port != "" && !isPort(port):
		return "a port from 1 to 65535"
	case kind == lookupA && port == "":
		return "dns+host:port; the addresses of a host have no port of their own"
	case kind != "" && kind != lookupA && kind != lookupSRV && kind != lookupSRVNoA:
		return "host:port, dns+host:port, dnssrv+name or dnssrvnoa+name"
	}
	return ""
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n <= 65535
}

// splitAddr takes a host or host:port apart.
func splitAddr(addr string) (host, port string) {
	if h, p, err := net.SplitHostPort(addr); err == nil {
		return h, p
	}
	return strings.Trim(addr, "[]"), ""
}

const (
	maxID   = 128
	maxZone = 64
)

func isID(s string) bool   { return s != "" && len(s) <= maxID && isName(s) }
func isZone(s string) bool { return len(s) <= maxZone && isName(s) }

func isName(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("-_.:", c)
	}) < 0
}
