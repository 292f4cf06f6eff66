package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// lan is a network of processes that find each other by its first address.
type lan struct {
	t   *testing.T
	net int
}

// TestGossip runs the scenarios at the same time, since they wait most of it:
// t.Parallel would allow as many as there are processors.
func TestGossip(t *testing.T) {
	var g sync.WaitGroup
	for _, s := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"join, write, leave", joinWriteLeave},
		{"a crash is forgotten", crashIsForgotten},
		{"tokens are kept", tokensAreKept},
		{"who is cut off forgets nobody", cutOffForgetsNobody},
		{"what cannot be drained is missed", notDrainedIsMissed},
		{"a role that cannot start is missed", notStartedIsMissed},
		{"tokens of others are not taken", tokensOfOthers},
		{"a twin is noticed", twinIsNoticed},
		{"gossip is encrypted", encrypted},
		{"gossip has a page", gossipPage},
		{"a restart keeps its place", restarted},
		{"a lost disk is not read from", onProbation},
		{"a process sleeps", func(t *testing.T) { suspended(t, 13, neverForget) }},
		{"a process sleeps too long", func(t *testing.T) { suspended(t, 14, "-ingester.ring.auto-forget-after=3s") }},
	} {
		g.Go(func() { t.Run(s.name, s.run) })
	}
	g.Wait()
}

// newLAN returns a network of its own: addresses 127.0.net.*.
func newLAN(t *testing.T, net int) *lan {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has more loopback addresses than 127.0.0.1 without being told")
	}
	return &lan{t, net}
}

const gossipPort = "17946" // no port that is given to outgoing connections

func (l *lan) host(n int) string { return fmt.Sprintf("127.0.%d.%d", l.net, n) }

// process is a Cluster with one member, as a process would have it.
type process struct {
	*Cluster
	t      *testing.T
	id     string
	ring   *Ring
	member *Member
}

// process makes the nth process; it does not run yet.
func (l *lan) process(n int, role Role, args ...string) *process {
	l.t.Helper()
	id := fmt.Sprintf("p%d", n)
	cfg := settings(l.t, append([]string{
		"-instance.id=" + id, "-memberlist.bind-addr=" + l.host(n), "-memberlist.bind-port=" + gossipPort, "-memberlist.join=" + l.host(1) + ":" + gossipPort,
		"-ingester.ring.heartbeat-period=1s", "-ingester.ring.heartbeat-timeout=3s", "-ingester.ring.auto-forget-after=3s",
	}, args...)...)
	require.NoError(l.t, errors.Join(cfg.Validate()...))
	return start(l.t, cfg, role)
}

// start makes a process of cfg that is an ingester.
func start(t *testing.T, cfg Config, role Role) *process {
	t.Helper()
	cfg.tuning = tuning{gossip: 100 * time.Millisecond, pushPull: 2 * time.Second, rejoin: 2 * time.Second}
	p := &process{t: t, id: cfg.Instance.ID}
	p.Cluster = New(cfg, Deps{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Registerer: prometheus.NewRegistry(),
		DataDir: t.TempDir(), Port: func() int { return 4040 },
	})
	var err error
	p.ring, err = p.Ring(Ingester)
	require.NoError(t, err)
	p.member, err = p.Member(Ingester, role)
	require.NoError(t, err)
	return p
}

// up starts the process and returns when it is ACTIVE.
func (p *process) up() *process {
	p.t.Helper()
	ctx := context.Background()
	require.NoError(p.t, services.StartAndAwaitRunning(ctx, p.Cluster))
	p.t.Cleanup(func() {
		p.member.StopAsync()
		_ = p.member.AwaitTerminated(ctx) // it may have been made to fail
		p.Cluster.StopAsync()
		_ = p.Cluster.AwaitTerminated(ctx)
	})
	require.NoError(p.t, services.StartAndAwaitRunning(ctx, p.member))
	require.NoError(p.t, p.Ready())
	return p
}

// up starts processes at the same time.
func up(all ...*process) {
	var g sync.WaitGroup
	for _, p := range all {
		g.Go(func() { p.up() })
	}
	g.Wait()
}

// down stops the process in good order.
func (p *process) down() {
	p.t.Helper()
	require.NoError(p.t, services.StopAndAwaitTerminated(context.Background(), p.member))
	require.NoError(p.t, services.StopAndAwaitTerminated(context.Background(), p.Cluster))
	require.Error(p.t, p.Ready())
}

// crash ends the process without a word to the ring.
func (p *process) crash() {
	p.t.Helper()
	p.member.lifecycle.SetKeepInstanceInTheRingOnShutdown(true)
	require.NoError(p.t, services.StopAndAwaitTerminated(context.Background(), p.member.lifecycle))
	require.NoError(p.t, services.StopAndAwaitTerminated(context.Background(), p.Cluster))
}

// sees returns the members as this process sees them: "p1 ACTIVE, p2 LEAVING".
func (p *process) sees() string {
	desc, err := p.store.ring(context.Background(), Ingester)
	require.NoError(p.t, err)
	var out []string
	for id, m := range desc.Ingesters {
		out = append(out, id+" "+stateOf(&m, p.cfg.Ingester.HeartbeatTimeout, time.Now()))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (p *process) willSee(want string) {
	p.t.Helper()
	eventually(p.t, func() (string, bool) { got := p.sees(); return got, got == want }, p.id+" sees "+want)
}

// eventually asks until it is told true.
func eventually(t *testing.T, ask func() (string, bool), what string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var ok bool
		if got, ok = ask(); ok {
			return
		}
	}
	t.Fatalf("%s: not before the deadline; last seen: %s", what, got)
}

func joinWriteLeave(t *testing.T) {
	l := newLAN(t, 1)
	p1 := l.process(1, Role{}).up()
	var state atomic.Value // of p2 on the ring, as its role starts
	draining, drained := make(chan struct{}), make(chan struct{})
	p2 := l.process(2, Role{})
	p2.member.role = Role{
		Service: services.NewIdleService(func(context.Context) error {
			eventually(t, func() (string, bool) { got := p1.sees(); return got, strings.Contains(got, "p2 PENDING") }, "a role that starts")
			state.Store(p2.member.lifecycle.GetState())
			return nil
		}, nil),
		Drain: func(context.Context) error {
			close(draining)
			<-drained
			return nil
		},
	}
	p3 := l.process(3, Role{})
	up(p2, p3)
	require.Equal(t, ring.PENDING, state.Load())
	for _, p := range []*process{p1, p2, p3} {
		p.willSee("p1 ACTIVE, p2 ACTIVE, p3 ACTIVE")
		eventually(t, func() (string, bool) {
			set, err := p.ring.Replicas("t", 1)
			return fmt.Sprint(set, err), err == nil && len(set.Instances) == 3 && set.MaxErrors == 1
		}, "three replicas")
	}
	go p2.member.StopAsync()
	<-draining
	p1.willSee("p1 ACTIVE, p2 LEAVING, p3 ACTIVE")
	eventually(t, func() (string, bool) {
		set, err := p1.ring.Replicas("t", 1)
		return fmt.Sprint(ids(set), err), err == nil && len(set.Instances) == 2
	}, "no writes to who is leaving")
	readers, err := p1.ring.Readers(t.Context(), "t", 0)
	require.NoError(t, err)
	require.Len(t, readers.Instances, 3, "reads from who is leaving")
	close(drained)
	p2.down()
	p1.willSee("p1 ACTIVE, p3 ACTIVE")
	p3.willSee("p1 ACTIVE, p3 ACTIVE")
	p3.down()
	p1.willSee("p1 ACTIVE")
}

func crashIsForgotten(t *testing.T) {
	l := newLAN(t, 2)
	p1, p2, p3 := l.process(1, Role{}), l.process(2, Role{}), l.process(3, Role{})
	up(p1, p2, p3)
	p1.willSee("p1 ACTIVE, p2 ACTIVE, p3 ACTIVE")
	p3.crash()
	p1.willSee("p1 ACTIVE, p2 ACTIVE, p3 UNHEALTHY")
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	p2.willSee("p1 ACTIVE, p2 ACTIVE")
	require.Positive(t, forgotten(p1)+forgotten(p2))
}

func tokensAreKept(t *testing.T) {
	l := newLAN(t, 8)
	file := "-ingester.ring.tokens-file-path=" + filepath.Join(t.TempDir(), "tokens")
	p1, p2 := l.process(1, Role{}), l.process(2, Role{}, file)
	up(p1, p2)
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	tokens := p2.member.lifecycle.GetTokens()
	require.Len(t, tokens, tokensPerMember)
	p2.crash() // and back at once, without anybody having noticed
	p2 = l.process(2, Role{}).up()
	require.Equal(t, tokens, p2.member.lifecycle.GetTokens(), "the ring knows them")
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	p2.down()
	p1.willSee("p1 ACTIVE")
	p2 = l.process(2, Role{}, file).up()
	require.Equal(t, tokens, p2.member.lifecycle.GetTokens(), "the file knows them")
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
}

// From p1's side, both others falling silent is
// what being cut off looks like.
func cutOffForgetsNobody(t *testing.T) {
	l := newLAN(t, 3)
	p1, p2, p3 := l.process(1, Role{}), l.process(2, Role{}), l.process(3, Role{})
	up(p1, p2, p3)
	p1.willSee("p1 ACTIVE, p2 ACTIVE, p3 ACTIVE")
	p2.crash()
	p3.crash()
	p1.willSee("p1 ACTIVE, p2 UNHEALTHY, p3 UNHEALTHY")
	held := func() (string, bool) {
		return "", testutil.ToFloat64(p1.metrics.held.WithLabelValues(string(Ingester))) == 1
	}
	eventually(t, held, "forgetting is held")
	_, err := p1.ring.Readers(t.Context(), "t", 0)
	require.ErrorContains(t, err, "of 3 members, 2 are missing: p2 (UNHEALTHY")
	time.Sleep(4 * time.Second) // longer than a dead member has among the living
	require.Equal(t, "p1 ACTIVE, p2 UNHEALTHY, p3 UNHEALTHY", p1.sees())
	require.Zero(t, forgotten(p1))
	up(l.process(2, Role{}), l.process(3, Role{}))
	p1.willSee("p1 ACTIVE, p2 ACTIVE, p3 ACTIVE")
}

func forgotten(p *process) float64 {
	return testutil.ToFloat64(p.metrics.forgotten.WithLabelValues(string(Ingester)))
}

func notDrainedIsMissed(t *testing.T) {
	l := newLAN(t, 4)
	p1, p2 := l.process(1, Role{}), l.process(2, Role{Drain: func(context.Context) error { return errors.New("the bucket is away") }})
	up(p1, p2)
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	err := services.StopAndAwaitTerminated(context.Background(), p2.member)
	require.ErrorContains(t, err, "drain for leaving the ingester ring; what is left is on this process's disk: the bucket is away")
	p1.willSee("p1 ACTIVE, p2 LEAVING")
	p1.willSee("p1 ACTIVE, p2 UNHEALTHY")
}

func notStartedIsMissed(t *testing.T) {
	l := newLAN(t, 5)
	const never = "-ingester.ring.auto-forget-after=0"
	p1 := l.process(1, Role{}, never).up()
	p2 := l.process(2, Role{Service: services.NewIdleService(func(context.Context) error { return errors.New("the log is torn") }, nil)}, never)
	require.NoError(t, services.StartAndAwaitRunning(t.Context(), p2.Cluster))
	t.Cleanup(func() { require.NoError(t, services.StopAndAwaitTerminated(context.Background(), p2.Cluster)) })
	require.ErrorContains(t, services.StartAndAwaitRunning(t.Context(), p2.member), "the log is torn")
	p1.willSee("p1 ACTIVE, p2 PENDING")

	fail := make(chan struct{})
	p3 := l.process(3, Role{Service: services.NewBasicService(nil, func(context.Context) error {
		<-fail
		return errors.New("the disk is gone")
	}, nil)}, never).up()
	close(fail)
	require.Error(t, p3.member.AwaitTerminated(t.Context()))
	require.ErrorContains(t, p3.member.FailureCase(), "the disk is gone")
	p1.willSee("p1 ACTIVE, p2 UNHEALTHY, p3 UNHEALTHY")
}

func tokensOfOthers(t *testing.T) {
	l := newLAN(t, 6)
	p1 := l.process(1, Role{}).up()
	copied := filepath.Join(t.TempDir(), "tokens")
	b, err := os.ReadFile(filepath.Join(p1.deps.DataDir, "ingester-tokens.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(copied, b, 0o600))
	p2 := l.process(2, Role{}, "-ingester.ring.tokens-file-path="+copied).up()
	p1.willSee("p1 ACTIVE, p2 ACTIVE")
	seen := map[uint32]string{}
	for _, p := range []*process{p1, p2} {
		require.Len(t, p.member.lifecycle.GetTokens(), tokensPerMember)
		for _, token := range p.member.lifecycle.GetTokens() {
			require.Empty(t, seen[token])
			seen[token] = p.id
		}
	}
	b2, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.NotEqual(t, b, b2)
}

func twinIsNoticed(t *testing.T) {
	l := newLAN(t, 7)
	slow := []string{"-ingester.ring.heartbeat-timeout=9s", "-ingester.ring.auto-forget-after=0"}
	// Of two heartbeats in the same second, each process keeps its own.
	p1 := l.process(1, Role{}, append(slow, "-ingester.ring.heartbeat-period=2s")...).up()
	p2 := l.process(2, Role{}, append(slow, "-ingester.ring.heartbeat-period=3s", "-instance.id=p1")...)
	ctx := context.Background()
	require.NoError(t, services.StartAndAwaitRunning(ctx, p2.Cluster))
	require.NoError(t, p2.member.StartAsync(ctx))
	t.Cleanup(func() {
		p2.member.StopAsync()
		_ = p2.member.AwaitTerminated(ctx) // the two disturb each other
		require.NoError(t, services.StopAndAwaitTerminated(ctx, p2.Cluster))
	})
	eventually(t, func() (string, bool) {
		return p1.sees(), testutil.ToFloat64(p1.metrics.twins)+testutil.ToFloat64(p2.metrics.twins) > 0
	}, "the other p1 is noticed")
}

func TestAlone(t *testing.T) {
	p := start(t, settings(t, "-instance.id=me"), Role{}).up()
	require.Equal(t, "me ACTIVE", p.sees())
	require.Nil(t, p.kv, "no gossip")
	_, err := os.Stat(filepath.Join(p.deps.DataDir, "ingester-tokens.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
	set, err := p.ring.Replicas("t", 1) // at once
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:4040", set.Instances[0].Addr)
	readers, err := p.ring.Readers(t.Context(), "t", 0)
	require.NoError(t, err)
	require.Len(t, readers.Instances, 1)
	_, err = p.Ring(Distributor)
	require.ErrorContains(t, err, "the cluster is Running already")
	_, err = p.Member(Ingester, Role{})
	require.ErrorContains(t, err, "this process is a member already")
	p.down()
}

func TestPortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	cfg := settings(t, "-memberlist.join=127.0.0.1:1", "-memberlist.bind-addr=127.0.0.1", fmt.Sprintf("-memberlist.bind-port=%d", taken.Addr().(*net.TCPAddr).Port))
	p := start(t, cfg, Role{})
	require.ErrorContains(t, services.StartAndAwaitRunning(t.Context(), p.Cluster), "-memberlist.bind-port")
}

func BenchmarkAlone(b *testing.B) {
	cfg := settings(b)
	for b.Loop() {
		c := New(cfg, Deps{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Port: func() int { return 1 }})
		all := []services.Service{c}
		for _, name := range Names() {
			_, err := c.Ring(name)
			require.NoError(b, err)
			m, err := c.Member(name, Role{})
			require.NoError(b, err)
			all = append(all, m)
		}
		for _, s := range all {
			require.NoError(b, services.StartAndAwaitRunning(context.Background(), s))
		}
		for i := range all {
			require.NoError(b, services.StopAndAwaitTerminated(context.Background(), all[len(all)-1-i]))
		}
	}
}
