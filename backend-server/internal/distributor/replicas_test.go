package distributor

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// node is an ingester of the cluster: what it stores, each record once.
type node struct {
	store
	seen map[uint64]bool
	harm atomic.Pointer[func(ctx context.Context) error] // what befalls pushes before they are stored
}

func (n *node) Push(ctx context.Context, tenantID string, recs []profile.Record) []error {
	if harm := n.harm.Load(); harm != nil {
		if err := (*harm)(ctx); err != nil {
			return slices.Repeat([]error{err}, len(recs))
		}
	}
	n.mu.Lock()
	fresh := slices.DeleteFunc(slices.Clone(recs), func(r profile.Record) bool { return n.seen[r.ID] })
	for _, r := range fresh {
		n.seen[r.ID] = true
		if p := r.Profile; p.Strings[p.Functions[0].Name] != "main.main" {
			panic("the profile is used for something else")
		}
	}
	n.mu.Unlock()
	return n.store.Push(ctx, tenantID, fresh)
}

func (n *node) suffer(harm func(ctx context.Context) error) { n.harm.Store(&harm) }

func (n *node) recover() { n.harm.Store(nil) }

func (n *node) has() []stored {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.recs)
}

// harms.
func down(context.Context) error { return fault.New(fault.Unavailable, "connection refused") }

func wrong(context.Context) error { return fault.New(fault.Invalid, "never") }

func full(context.Context) error {
	return &upload.RetryError{Err: fault.Reason(fault.Exhausted, "head_full", "no room"), After: 7 * time.Second}
}

// stopped does not answer, like a process that got SIGSTOP.
func stopped(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// remote brings records to nodes, by way of their encoding.
type remote map[string]*node

func (r remote) Push(ctx context.Context, to *cluster.Peer, tenantID string, batch *flat.Batch, items []int) []error {
	var dec flat.Decoder
	recs, err := dec.Records(batch.Append(nil, items))
	if err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return r[to.Addr].Push(ctx, tenantID, recs)
}

// ring3 returns the ring of three ingesters n1 to n3, as n1 sees it: real ones
// that gossip, on the addresses 127.0.net.*.
func ring3(t *testing.T, net int) *cluster.Ring {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has more loopback addresses than 127.0.0.1 without being told")
	}
	var first *cluster.Ring
	var starting sync.WaitGroup
	for i := range 3 {
		addr := fmt.Sprintf("127.0.%d.%d", net, i+1)
		var cfg cluster.Config
		f := flag.NewFlagSet("", flag.ContinueOnError)
		cfg.RegisterFlags(f)
		require.NoError(t, config.Load(f, new(config.File), []string{
			fmt.Sprintf("-instance.id=n%d", i+1), fmt.Sprintf("-instance.addr=n%d:1", i+1),
			"-memberlist.bind-addr=" + addr, "-memberlist.bind-port=17947", fmt.Sprintf("-memberlist.join=127.0.%d.1:17947", net),
		}))
		require.Empty(t, cfg.Validate())
		c := cluster.New(cfg, cluster.Deps{
			Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), DataDir: t.TempDir(), Port: func() int { return 1 },
		})
		r, err := c.Ring(cluster.Ingester)
		require.NoError(t, err)
		m, err := c.Member(cluster.Ingester, cluster.Role{})
		require.NoError(t, err)
		if first == nil {
			first = r
		}
		starting.Go(func() {
			require.NoError(t, services.StartAndAwaitRunning(context.Background(), c))
			require.NoError(t, services.StartAndAwaitRunning(context.Background(), m))
		})
		t.Cleanup(func() {
			require.NoError(t, services.StopAndAwaitTerminated(context.Background(), m))
			require.NoError(t, services.StopAndAwaitTerminated(context.Background(), c))
		})
	}
	starting.Wait()
	require.Eventually(t, func() bool {
		set, err := first.Replicas("t", 1)
		return err == nil && len(set.Instances) == 3 && set.MaxErrors == 1
	}, 30*time.Second, 20*time.Millisecond)
	return first
}

// replicated is a distributor in the process of n1, and all nodes.
type replicated struct {
	*Distributor
	replicas *Replicas
	nodes    []*node
	ctx      context.Context
}

func newReplicated(t *testing.T, ring Ring, timeout time.Duration) *replicated {
	t.Helper()
	out := &replicated{ctx: tenant.With(context.Background(), "t")}
	others := remote{}
	for i := range 3 {
		n := &node{seen: map[uint64]bool{}}
		out.nodes = append(out.nodes, n)
		others[fmt.Sprintf("n%d:1", i+1)] = n
	}
	delete(others, "n1:1") // is never called over the network
	var cfg Config
	var limits Limits
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	cfg.RegisterFlags(fs)
	limits.RegisterFlags(fs)
	cfg.PushTimeout = timeout
	reg := prometheus.NewRegistry()
	out.replicas = NewReplicas(cfg, ReplicasDeps{Ring: ring, ID: "n1", Local: out.nodes[0], Remote: others, Registerer: reg})
	out.Distributor = NewReplicated(cfg, limits, out.replicas, nil, reg, slog.New(slog.DiscardHandler))
	out.Distributor.now = func() time.Time { return now }
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return out.replicas.held.Load() == 0 && out.replicas.local.Load() == 0 }, 30*time.Second, time.Millisecond)
	})
	return out
}

func (r *replicated) push(t *testing.T, series ...upload.Series) upload.Result {
	t.Helper()
	res, err := r.Push(r.ctx, series)
	require.NoError(t, err)
	return res
}

// settle waits until nothing goes on in the background.
func (r *replicated) settle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return r.replicas.held.Load() == 0 }, 30*time.Second, time.Millisecond)
}

func TestReplicas(t *testing.T) {
	ring := ring3(t, 90)
	two := []upload.Series{
		series(pb(now, nil, map[string][]string{"route": {"/a"}}), "__name__", "cpu", "service_name", "a"),
		series(pb(now.Add(time.Second)), "__name__", "cpu", "service_name", "b"),
	}
	t.Run("all have the same", func(t *testing.T) {
		r := newReplicated(t, ring, time.Minute)
		require.NoError(t, errOf(r.push(t, two...)))
		r.settle(t)
		require.Len(t, r.nodes[0].has(), 3)
		for _, n := range r.nodes[1:] {
			require.ElementsMatch(t, r.nodes[0].has(), n.has())
		}
		require.Equal(t, 3.0, testutil.ToFloat64(r.replicas.metrics.records.WithLabelValues("local", "stored")))
		require.Equal(t, 6.0, testutil.ToFloat64(r.replicas.metrics.records.WithLabelValues("remote", "stored")))
	})
	for name, harm := range map[string]func(context.Context) error{"down": down, "stopped": stopped, "full": full, "wrong": wrong} {
		for at := range 3 {
			t.Run(fmt.Sprintf("n%d is %s", at+1, name), func(t *testing.T) {
				r := newReplicated(t, ring, 2*time.Second)
				r.nodes[at].suffer(harm)
				start := time.Now()
				res := r.push(t, two...)
				require.NoError(t, res.Err())
				require.Equal(t, 2, res.Stored)
				require.Less(t, time.Since(start), time.Second, "it delays nobody")
				r.settle(t)
				for i, n := range r.nodes {
					require.Len(t, n.has(), map[bool]int{true: 0, false: 3}[i == at])
				}
			})
		}
	}
	t.Run("two are down", func(t *testing.T) { twoDown(t, ring, two) })
	t.Run("who refuses", func(t *testing.T) { whoRefuses(t, ring, two) })
	t.Run("part of an upload", func(t *testing.T) { partOfUpload(t, ring, two) })
	t.Run("a slow local ingester", func(t *testing.T) { slowLocal(t, ring) })
}

func errOf(r upload.Result) error { return r.Err() }

// twoDown: without a quorum the client is told to try again, and what it sends
// again is stored once.
func twoDown(t *testing.T, ring Ring, two []upload.Series) {
	r := newReplicated(t, ring, 200*time.Millisecond)
	r.nodes[0].suffer(down)
	r.nodes[2].suffer(stopped)
	res := r.push(t, two...)
	require.Len(t, res.Refused, 2)
	require.True(t, fault.Is(res.Err(), fault.Unavailable))
	require.Regexp(t, `series 0 .*, profile 0: ingester n[13]: (connection refused|context deadline exceeded)`, res.Refused[0].String())
	r.settle(t)
	require.Len(t, r.nodes[1].has(), 3)
	r.nodes[0].recover()
	r.nodes[2].recover()
	require.NoError(t, errOf(r.push(t, two...)))
	r.settle(t)
	for _, n := range r.nodes {
		require.Len(t, n.has(), 3)
		require.ElementsMatch(t, r.nodes[1].has(), n.has())
	}
}

// whoRefuses: what a client is told if there is no quorum.
func whoRefuses(t *testing.T, ring Ring, two []upload.Series) {
	broken := func(context.Context) error { return fault.New(fault.Corrupt, "a block is damaged") }
	for _, c := range []struct {
		harms [3]func(context.Context) error
		want  fault.Kind
		after time.Duration
	}{
		{[3]func(context.Context) error{full, full, full}, fault.Exhausted, 7 * time.Second},
		{[3]func(context.Context) error{wrong, wrong, wrong}, fault.Invalid, 0},
		{[3]func(context.Context) error{nil, full, full}, fault.Exhausted, 7 * time.Second},
		{[3]func(context.Context) error{wrong, wrong, nil}, fault.Invalid, 0},
		{[3]func(context.Context) error{broken, broken, nil}, fault.Unavailable, 0},
	} {
		r := newReplicated(t, ring, time.Minute)
		for i, harm := range c.harms {
			if harm != nil {
				r.nodes[i].suffer(harm)
			}
		}
		err := errOf(r.push(t, two...))
		require.Equal(t, c.want, fault.KindOf(err), "%v", err)
		var hint *upload.RetryError
		require.Equal(t, c.after > 0, errors.As(err, &hint))
		if hint != nil {
			require.Equal(t, c.after, hint.After)
		}
	}
}

// partOfUpload: only the profile that has no quorum is refused.
func partOfUpload(t *testing.T, ring Ring, two []upload.Series) {
	r := newReplicated(t, ring, time.Minute)
	for _, n := range r.nodes[:2] {
		n.fail = map[string]error{`route="/a"`: fault.New(fault.Unavailable, "not that one")}
	}
	res := r.push(t, two...)
	require.Equal(t, 1, res.Stored)
	require.Len(t, res.Refused, 1)
	require.Equal(t, 0, res.Refused[0].Series)
	require.ErrorContains(t, res.Refused[0].Err, "not that one")
}

// slowLocal is D3: the local ingester reads the records long after clients were
// answered and their requests' memory is used again; it finds what it was given.
func slowLocal(t *testing.T, ring Ring) {
	r := newReplicated(t, ring, time.Minute)
	r.nodes[0].suffer(func(context.Context) error { time.Sleep(20 * time.Millisecond); return nil })
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 50 {
				raw := pb(now.Add(time.Duration(g*50+i)*time.Millisecond), nil, map[string][]string{"k": {fmt.Sprint(g, i)}})
				if i%2 == 0 {
					raw = plain(raw)
				}
				require.NoError(t, errOf(r.push(t, series(raw, "__name__", "cpu", "service_name", fmt.Sprint("s", g)))))
				clear(raw)
			}
		})
	}
	all.Wait()
	r.settle(t)
	require.Len(t, r.nodes[0].has(), 400)
	for _, n := range r.nodes[1:] {
		require.ElementsMatch(t, r.nodes[0].has(), n.has())
	}
}

// TestLocalIngesterAfterTheQuorum: one whose turn comes when the records are
// gone gets them decoded anew.
func TestLocalIngesterAfterTheQuorum(t *testing.T) {
	late := make(chan func(), 1)
	r := newReplicated(t, ringFunc(func(_ context.Context, b cluster.Batch) []error {
		late <- func() {
			require.Equal(t, []error{nil, nil}, b.Send(context.Background(), cluster.Peer{Id: "n1"}, []int{0, 1}))
			b.Done()
		}
		return nil
	}), time.Minute)
	res := r.push(t, series(pb(now, nil, map[string][]string{"a": {"b"}}), "__name__", "cpu"))
	require.Equal(t, 1, res.Stored)
	(<-late)()
	got := r.nodes[0].has()
	require.Len(t, got, 2)
	require.True(t, strings.Contains(got[1].labels, `a="b"`))
	require.Equal(t, []int64{2}, got[1].values)
}

// TestHeldIsBounded: what is sent in the background is not more than memory
// bears.
func TestHeldIsBounded(t *testing.T) {
	r := newReplicated(t, ringFunc(func(_ context.Context, b cluster.Batch) []error { b.Done(); return nil }), time.Minute)
	r.replicas.held.Store(maxHeld)
	err := errOf(r.push(t, series(pb(now), "__name__", "cpu")))
	require.True(t, fault.Is(err, fault.Exhausted))
	var hint *upload.RetryError
	require.ErrorAs(t, err, &hint)
	r.replicas.held.Store(0)
	require.NoError(t, errOf(r.push(t, series(pb(now), "__name__", "cpu"))))
	r.replicas.local.Store(maxLocal)
	w := &spreading{r: r.replicas, batch: new(flat.Batch), free: func() {}}
	w.batch.Encode([]profile.Record{{Profile: new(profile.Profile)}})
	require.ErrorContains(t, w.sendLocal(context.Background(), make([]int, 1))[0], "does not keep up")
	r.replicas.local.Store(0)
}

// plain takes a profile out of gzip.
func plain(raw []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err == nil {
		raw, err = io.ReadAll(r)
	}
	if err != nil {
		panic(err) // what is in memory can be read
	}
	return raw
}

// ringFunc is a func as a Ring.
type ringFunc func(ctx context.Context, b cluster.Batch) []error

func (f ringFunc) Write(ctx context.Context, b cluster.Batch) []error { return f(ctx, b) }

// TestRateIsShared: each of the distributors lets its share pass.
func TestRateIsShared(t *testing.T) {
	sharers := 4
	r := newRates(Config{RateMB: 1, BurstMB: 1}, func() int { return sharers })
	at := now
	require.NoError(t, r.take("t", megabyte, at))
	err := r.take("t", megabyte/2, at)
	require.ErrorContains(t, err, "shared by 4 distributors")
	var hint *upload.RetryError
	require.ErrorAs(t, err, &hint)
	require.InDelta(t, 2, hint.After.Seconds(), 0.01)
	sharers = 0 // the ring is not known yet
	err = r.take("t", megabyte/2, at)
	require.ErrorAs(t, err, &hint)
	require.InDelta(t, 0.5, hint.After.Seconds(), 0.01)
}
