package cluster

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// settings parses flags as the process does.
func settings(t testing.TB, args ...string) Config {
	t.Helper()
	var c Config
	f := flag.NewFlagSet("", flag.ContinueOnError)
	c.RegisterFlags(f)
	require.NoError(t, config.Load(f, new(config.File), args))
	return c
}

func TestDefaultsAreValidAndAlone(t *testing.T) {
	c := settings(t)
	require.Empty(t, c.Validate())
	require.True(t, c.Alone())
	require.Equal(t, 1, c.Replication(Ingester))
	require.Equal(t, 1, c.Replication(Compactor))
}

func TestReplicationFactor(t *testing.T) {
	c := settings(t, "-memberlist.join=a:7946", "-memberlist.join=dns+b:7946,dnssrv+_g._tcp.c")
	require.Empty(t, c.Validate())
	require.Equal(t, []string{"a:7946", "dns+b:7946", "dnssrv+_g._tcp.c"}, c.Gossip.Join.Values)
	require.Equal(t, 3, c.Replication(Ingester))
	require.Equal(t, 3, c.Replication(StoreGateway))
	require.Equal(t, 1, c.Replication(Compactor))
	c = settings(t, "-memberlist.join=a:7946", "-ingester.ring.replication-factor=1")
	require.Equal(t, 1, c.Replication(Ingester))
}

func TestAllProblemsOfTheCluster(t *testing.T) {
	c := settings(t,
		"-memberlist.bind-addr=host", "-memberlist.bind-port=70000", "-memberlist.advertise-addr=x", "-memberlist.advertise-port=-1",
		"-memberlist.cluster-label="+strings.Repeat("l", 256), "-memberlist.tls-cert-path=c.pem",
		"-memberlist.join=dns+a", "-memberlist.join=srv+a:1", "-memberlist.join=a:0", "-memberlist.join=a b",
		"-instance.id=", "-instance.zone=a b", "-instance.addr=http://a",
		"-distributor.ring.heartbeat-period=100ms", "-query-scheduler.ring.heartbeat-timeout=5s", "-compactor.ring.auto-forget-after=1s",
		"-ingester.ring.replication-factor=16", "-distributor.ingestion-tenant-shard-size=-1", "-store-gateway.tenant-shard-size=2")
	err := errors.Join(c.Validate()...)
	for _, want := range []string{
		`-memberlist.bind-addr: "host" is not allowed; want an IP address`,
		`-memberlist.bind-port: "70000"`, `-memberlist.advertise-addr: "x"`, `-memberlist.advertise-port: "-1"`,
		`-memberlist.cluster-label: "lll`, `-memberlist.tls-key-path: "" is not allowed; want a file`, `-memberlist.tls-ca-path: ""`,
		`-memberlist.join: "dns+a" is not allowed; want dns+host:port`, `-memberlist.join: "srv+a:1"`, `-memberlist.join: "a:0"`, `-memberlist.join: "a b"`,
		`-instance.id: ""`, `-instance.zone: "a b"`, `-instance.addr: "http://a"`,
		`-distributor.ring.heartbeat-period: "100ms" is not allowed; want a duration of at least 1s`,
		`-query-scheduler.ring.heartbeat-timeout: "5s" is not allowed; want at least twice -query-scheduler.ring.heartbeat-period, 30s`,
		`-compactor.ring.auto-forget-after: "1s"`,
		`-ingester.ring.replication-factor: "16" is not allowed; want a whole number from 1 to 15`,
		`-distributor.ingestion-tenant-shard-size: "-1"`,
		`-store-gateway.tenant-shard-size: "2" is not allowed; want 0 for all, or at least the replication factor, 3`,
	} {
		require.ErrorContains(t, err, want)
	}
	c = settings(t, "-ingester.ring.replication-factor=3", "-store-gateway.ring.zone-awareness-enabled")
	err = errors.Join(c.Validate()...)
	require.ErrorContains(t, err, `-ingester.ring.replication-factor: "3" is not allowed; want 1 or 0 for a process that is alone`)
	require.ErrorContains(t, err, `-instance.zone: "" is not allowed; want the zone of this process, since -store-gateway.ring.zone-awareness-enabled is set`)
}

func TestAddressOfThisProcess(t *testing.T) {
	for _, c := range []struct{ addr, bind, advertise, join, want string }{
		{want: "127.0.0.1:4040"},
		{addr: "h", want: "h:4040"},
		{addr: "h:1", want: "h:1"},
		{addr: "::1", want: "[::1]:4040"},
		{addr: "[::1]:2", want: "[::1]:2"},
		{bind: "127.0.0.9", join: "x", want: "127.0.0.9:4040"},
		{bind: "127.0.0.9", advertise: "10.1.1.1", join: "x", want: "10.1.1.1:4040"},
	} {
		cfg := settings(t, "-instance.addr="+c.addr, "-memberlist.bind-addr="+c.bind, "-memberlist.advertise-addr="+c.advertise, "-memberlist.join="+c.join)
		require.Empty(t, cfg.Validate(), "%+v", c)
		got, err := (&Cluster{cfg: cfg, deps: Deps{Port: func() int { return 4040 }}}).addr()
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%+v", c)
	}
}
