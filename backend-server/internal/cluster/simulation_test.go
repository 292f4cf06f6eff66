package cluster

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// The tables of docs/operations.md:
//
//	go test ./backend-server/internal/cluster -run Simulation -v -timeout 1h -simulate
//
// Series are placed by the real ring, states are encoded and merged by the real
// code. How long news travel is computed by a model of memberlist's gossip,
// which a run of real processes is compared with.
var simulate = flag.Bool("simulate", false, "print the tables of docs/operations.md")

var sizes = []int{10, 100, 1000}

// placed is where a number of series lie: the IDs of their replicas, sorted.
type placed [][]string

func place(t testing.TB, r *Ring, series int) placed {
	t.Helper()
	out := make(placed, series)
	for i := range out {
		set, err := r.Replicas("tenant", uint64(i)*0x9e3779b97f4a7c15)
		require.NoError(t, err)
		out[i] = ids(set)
		slices.Sort(out[i])
	}
	return out
}

// balance returns, relative to the mean load of a member, the standard
// deviation, the least and the most.
func (p placed) balance(members int) (deviation, least, most float64) {
	count := map[string]int{}
	for _, at := range p {
		for _, id := range at {
			count[id]++
		}
	}
	mean := float64(len(p)*len(p[0])) / float64(members)
	least = math.Inf(1)
	for _, n := range count {
		x := float64(n) / mean
		deviation += (x - 1) * (x - 1)
		least, most = min(least, x), max(most, x)
	}
	if len(count) < members {
		least = 0
	}
	return math.Sqrt(deviation / float64(members)), least, most
}

// moved returns the share of series that have a replica in q that they do not
// have in p.
func (p placed) moved(q placed) float64 {
	n := 0
	for i := range p {
		if !slices.Equal(p[i], q[i]) {
			n++
		}
	}
	return float64(n) / float64(len(p))
}

// ringOf returns a ring of n members with as many tokens each.
func ringOf(t testing.TB, n, tokens int, change func([]peer) []peer) *Ring {
	t.Helper()
	c, r := drawn(t, Ingester, nil)
	peers := even(n)
	if change != nil {
		peers = change(peers)
	}
	drawTokens(t, c, peers, tokens)
	awaitMembers(t, r, len(peers))
	return r
}

func drawTokens(t testing.TB, c *Cluster, peers []peer, tokens int) {
	t.Helper()
	require.NoError(t, c.store.CAS(context.Background(), string(Ingester), func(any) (any, bool, error) {
		return descOf(peers, tokens), false, nil
	}))
}

func descOf(peers []peer, tokens int) *ring.Desc {
	d := ring.NewDesc()
	for _, p := range peers {
		d.Ingesters[p.id] = p.desc(tokens)
	}
	return d
}

func awaitMembers(t testing.TB, r *Ring, members int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); r.ring.InstancesCount() != members; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline))
	}
}

func join(p []peer) []peer  { return append(p, peer{id: "new", zone: "z0", state: ring.ACTIVE}) }
func leave(p []peer) []peer { return p[1:] }

// TestBalance holds the figures of docs/operations.md to what they are about.
func TestBalance(t *testing.T) {
	const n, series = 30, 20_000
	before := place(t, ringOf(t, n, tokensPerMember, nil), series)
	deviation, _, most := before.balance(n)
	require.Less(t, deviation, 0.12)
	require.Less(t, most, 1.35)
	for _, c := range []struct {
		change func([]peer) []peer
		ideal  float64
	}{{join, 3.0 / (n + 1)}, {leave, 3.0 / n}} {
		require.InEpsilon(t, c.ideal, before.moved(place(t, ringOf(t, n, tokensPerMember, c.change), series)), 0.35)
	}
}

func TestSimulation(t *testing.T) {
	if !*simulate {
		t.Skip("-simulate prints the tables")
	}
	t.Run("balance", simulateBalance)
	t.Run("state", simulateState)
	t.Run("gossip", simulateGossip)
}

func simulateBalance(t *testing.T) {
	fmt.Println("\n| ingesters | tokens | standard deviation | least | most | series moved by a join | ideal | by a leave | ideal |\n|---|---|---|---|---|---|---|---|---|")
	for _, n := range sizes {
		series := max(200_000, 1000*n)
		for _, tokens := range []int{128, 512} {
			before := place(t, ringOf(t, n, tokens, nil), series)
			deviation, least, most := before.balance(n)
			joined := before.moved(place(t, ringOf(t, n, tokens, join), series))
			left := before.moved(place(t, ringOf(t, n, tokens, leave), series))
			fmt.Printf("| %d | %d | %.1f %% | %.0f %% | %.0f %% | %.2f %% | %.2f %% | %.2f %% | %.2f %% |\n", n, tokens,
				100*deviation, 100*least, 100*most, 100*joined, 300/float64(n+1), 100*left, 300/float64(n))
		}
	}
}

// simulateState: bytes of the state and of a heartbeat, and the CPU time that
// they take.
func simulateState(t *testing.T) {
	fmt.Println("\n| ingesters | tokens | whole state | a heartbeat | decode and merge one | decode one seen before | copy for readers, and compare |\n|---|---|---|---|---|---|---|")
	for _, n := range sizes {
		for _, tokens := range []int{128, 512} {
			codec, peers := ring.GetCodec(), even(n)
			state := descOf(peers, tokens)
			all, err := codec.Encode(state)
			require.NoError(t, err)
			one, err := codec.Encode(descOf(peers[:1], tokens))
			require.NoError(t, err)
			second := int64(0)
			merge := func(step int64) time.Duration {
				return clock(func() {
					v, err := codec.Decode(one)
					require.NoError(t, err)
					d := v.(*ring.Desc)
					m := d.Ingesters["m0"]
					m.Timestamp, second = m.Timestamp+second, second+step
					d.Ingesters["m0"] = m
					change, err := state.Merge(d, false)
					require.NoError(t, err)
					if change != nil { // what the store does with a change
						state.RemoveTombstones(time.Unix(0, 0))
						_, err = codec.Encode(change)
						require.NoError(t, err)
					}
				})
			}
			fresh := merge(1)
			second = 0
			again := merge(0)
			other := state.Clone().(*ring.Desc)
			copied := clock(func() {
				other = state.Clone().(*ring.Desc)
				_, _ = other.RemoveTombstones(time.Time{})
				state.RingCompare(other)
			})
			fmt.Printf("| %d | %d | %.0f KB | %d B | %s | %s | %s |\n", n, tokens, float64(len(all))/1e3, len(one), us(fresh), us(again), us(copied))
		}
	}
}

func us(d time.Duration) string { return fmt.Sprintf("%.3g µs", float64(d)/1e3) }

// clock returns the shortest time that f takes of many.
func clock(f func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range 200 {
		begin := time.Now()
		f()
		best = min(best, time.Since(begin))
	}
	return best
}

// Gossip as it is configured.
const (
	gossipInterval = 200 * time.Millisecond
	gossipNodes    = 3
	retransmit     = 4
)

// transmissions is how often a member passes a message on.
func transmissions(n int) int { return retransmit * int(math.Ceil(math.Log10(float64(n+1)))) }

// spread simulates how one message reaches n members, each of which tells 3
// others at each of its ticks until it has told it often enough. It returns
// when half, 99 % and all members had it.
func spread(n int, rng *rand.Rand) (half, most, all time.Duration) {
	left, phase := make([]int, n), make([]time.Duration, n)
	for i := range phase {
		phase[i] = time.Duration(rng.Int64N(int64(gossipInterval)))
	}
	heard := map[int]bool{0: true}
	left[0] = transmissions(n)
	order := rng.Perm(n)
	slices.SortFunc(order, func(a, b int) int { return int(phase[a] - phase[b]) })
	for round := time.Duration(0); round < 100; round++ {
		for _, i := range order {
			for range min(gossipNodes, left[i]) {
				left[i]--
				to := rng.IntN(n - 1)
				if to >= i {
					to++
				}
				if heard[to] {
					continue
				}
				heard[to], left[to] = true, transmissions(n)
				at := round*gossipInterval + phase[i]
				switch len(heard) {
				case (n + 1) / 2:
					half = at
				case int(math.Ceil(0.99 * float64(n))):
					most = at
				}
				if len(heard) == n {
					return half, max(half, most), at
				}
			}
		}
	}
	return half, most, -1 // the rest learns it from push and pull
}

func simulateGossip(t *testing.T) {
	fmt.Println("\n| ingesters | heartbeat each | tokens | messages received, a second and member | bytes sent, a second and member | whole state exchanged each | half have it | 99 % | all | not all |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, n := range sizes {
		rng := rand.New(rand.NewPCG(1, 2))
		var half, most, all []time.Duration
		missed := 0
		const runs = 200
		for range runs {
			h, m, a := spread(n, rng)
			if half, most = append(half, h), append(most, m); a < 0 {
				missed++
			} else {
				all = append(all, a)
			}
		}
		for _, c := range []struct {
			period time.Duration
			tokens int
		}{{15 * time.Second, 128}, {5 * time.Second, 128}, {15 * time.Second, 512}} {
			one, err := ring.GetCodec().Encode(descOf(even(1), c.tokens))
			require.NoError(t, err)
			messages := float64(n) / c.period.Seconds() * float64(transmissions(n))
			exchange := 30 * time.Second * time.Duration(1+max(0, math.Ceil(math.Log2(float64(n))-5)))
			fmt.Printf("| %d | %s | %d | %.0f | %.3g KB | %s | %.1f s | %.1f s | %.1f s | %.1f %% |\n", n, c.period, c.tokens, messages,
				messages*float64(len(one)+overhead)/1e3, exchange, median(half), median(most), median(all), 100*float64(missed)/runs)
		}
	}
	fmt.Println("\n| ingesters, real | heartbeat each | tokens | bytes of packets sent, a second and member | the model says | a new member is ACTIVE for all after |\n|---|---|---|---|---|---|")
	for i, n := range []int{5, 20, 50} {
		measure(t, 100+i, n)
	}
}

// overhead is what a heartbeat has around it: key, codec's name, lengths.
const overhead = 40

func median(d []time.Duration) float64 {
	if len(d) == 0 {
		return math.NaN()
	}
	slices.Sort(d)
	return d[len(d)/2].Seconds()
}

// measure runs n real processes that gossip as configured.
func measure(t *testing.T, net, n int) {
	l := newLAN(t, net)
	const period = "5s"
	args := []string{"-ingester.ring.heartbeat-period=" + period, "-ingester.ring.heartbeat-timeout=1m", "-ingester.ring.auto-forget-after=0"}
	var all []*process
	for i := range n {
		p := l.process(i+1, Role{}, args...)
		p.cfg.tuning = tuning{}
		all = append(all, p)
	}
	up(all...)
	for _, p := range all {
		awaitMembers(t, p.ring, n)
	}
	const span = 30 * time.Second
	before := sent(t, all)
	time.Sleep(span)
	rate := (sent(t, all) - before) / span.Seconds() / float64(n)

	extra := l.process(n+1, Role{}, args...)
	extra.cfg.tuning = tuning{}
	extra.up()
	begin := time.Now()
	for _, p := range all {
		eventually(t, func() (string, bool) {
			s, err := p.ring.ring.GetInstanceState(extra.id)
			return fmt.Sprint(s, err), err == nil && s == ring.ACTIVE
		}, "the new one")
	}
	took := time.Since(begin)
	one, err := ring.GetCodec().Encode(descOf(even(1), tokensPerMember))
	require.NoError(t, err)
	model := float64(n) / 5 * float64(transmissions(n)) * float64(len(one)+overhead)
	fmt.Printf("| %d | %s | %d | %.3g KB | %.3g KB | %.1f s |\n", n, period, tokensPerMember, rate/1e3, model/1e3, took.Seconds())
}

// sent sums the bytes of packets that processes have sent.
func sent(t *testing.T, all []*process) (sum float64) {
	t.Helper()
	for _, p := range all {
		families, err := p.deps.Registerer.(*prometheus.Registry).Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "memberlist_tcp_transport_packets_sent_bytes_total" {
				sum += f.GetMetric()[0].GetCounter().GetValue()
			}
		}
	}
	return sum
}
