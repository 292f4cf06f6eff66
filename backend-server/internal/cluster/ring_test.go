package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// stale is a heartbeat that is too old.
const stale = time.Hour

// peer is a member for a ring that is written down. Its tokens follow from its
// ID.
type peer struct {
	id, zone string
	state    ring.InstanceState
	silent   time.Duration // since the last heartbeat
}

func (p peer) desc(tokens int) ring.InstanceDesc {
	g := ring.NewRandomTokenGeneratorWithSeed(int64(Token(p.id, 1)))
	return ring.InstanceDesc{
		Id: p.id, Addr: p.id + ":1", Zone: p.zone, State: p.state, Tokens: g.GenerateTokens(tokens, nil),
		Timestamp: time.Now().Add(-p.silent).Unix(), RegisteredTimestamp: time.Now().Add(-2 * stale).Unix(),
	}
}

// drawn returns the cluster of a process that is on no ring, sees the given
// members on one and can join nobody, and its view of that ring.
func drawn(t testing.TB, name Name, peers []peer, args ...string) (*Cluster, *Ring) {
	t.Helper()
	cfg := settings(t, append([]string{"-memberlist.join=nobody:1", "-instance.id=observer"}, args...)...)
	require.Empty(t, cfg.Validate())
	c := New(cfg, Deps{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Port: func() int { return 1 }})
	c.store.set(newLocal())
	draw(t, c, name, peers)
	r, err := c.Ring(name)
	require.NoError(t, err)
	require.NoError(t, services.StartAndAwaitRunning(context.Background(), r.ring))
	t.Cleanup(func() { require.NoError(t, services.StopAndAwaitTerminated(context.Background(), r.ring)) })
	return c, r
}

// draw puts members onto a ring.
func draw(t testing.TB, c *Cluster, name Name, peers []peer) {
	t.Helper()
	require.NoError(t, c.store.CAS(context.Background(), string(name), func(any) (any, bool, error) {
		d := ring.NewDesc()
		for _, p := range peers {
			d.Ingesters[p.id] = p.desc(64)
		}
		return d, false, nil
	}))
}

func ids(s Set) []string {
	var out []string
	for _, p := range s.Instances {
		out = append(out, p.Id)
	}
	return out
}

// even makes n ACTIVE members in three zones, m0, m1, …
func even(n int) []peer {
	out := make([]peer, n)
	for i := range out {
		out[i] = peer{id: fmt.Sprintf("m%d", i), zone: fmt.Sprintf("z%d", i%3), state: ring.ACTIVE}
	}
	return out
}

func TestTokenIsPartOfTheFormat(t *testing.T) {
	require.Equal(t, []uint32{2947010552, 3455437644, 2905777845},
		[]uint32{Token("", 0), Token("anonymous", 1), Token("a", 1<<63)})
	buckets := make([]int, 64)
	for i := range uint64(64 * 1000) {
		buckets[Token("t", i)>>26]++ // hashes that differ in few bits
	}
	for _, n := range buckets {
		require.InDelta(t, 1000, n, 200)
	}
}

func TestReplicasArePicked(t *testing.T) {
	all := []string{"m0", "m1", "m2"}
	for _, c := range []struct {
		name    string
		change  func([]peer)
		members int
		want    []string // that must be among the replicas of any series
		errors  int
		fails   string
	}{
		{name: "all well", members: 3, want: all, errors: 1},
		{name: "one too few", members: 2, want: []string{"m0", "m1"}},
		{name: "alone", members: 1, fails: "2 members of the ingester ring are needed, only 1 can take it"},
		{name: "one leaves", members: 3, change: func(p []peer) { p[0].state = ring.LEAVING }, want: []string{"m1", "m2"}},
		{name: "one replaced", members: 4, change: func(p []peer) { p[3].state = ring.LEAVING }, want: all, errors: 1},
		{name: "dead replaced", members: 4, change: func(p []peer) { p[3].silent = stale }, want: all, errors: 1},
		{name: "three replaced", members: 6, change: func(p []peer) {
			p[3].silent, p[4].state, p[5].state = stale, ring.PENDING, ring.PENDING
		}, want: all, errors: 1},
		{name: "none left", members: 2, change: func(p []peer) { p[0].silent, p[1].state = stale, ring.PENDING }, fails: "only 0 can take it; m0 is UNHEALTHY, m1 is PENDING"},
	} {
		peers := even(c.members)
		if c.change != nil {
			c.change(peers)
		}
		_, r := drawn(t, Ingester, peers)
		for i := range uint64(50) {
			set, err := r.Replicas("t", i)
			if c.fails != "" {
				require.True(t, fault.Is(err, fault.Unavailable), c.name)
				require.Regexp(t, "of the ingester ring are needed, only . can take it", err.Error())
				continue
			}
			require.NoError(t, err, c.name)
			require.ElementsMatch(t, c.want, ids(set), c.name)
			require.Equal(t, c.errors, set.MaxErrors, c.name)
		}
	}
}

func TestEmptyRing(t *testing.T) {
	_, r := drawn(t, Ingester, nil)
	_, err := r.Replicas("t", 1)
	require.ErrorContains(t, err, "the ingester ring has no members")
	require.True(t, fault.Is(err, fault.Unavailable))
	_, err = r.Readers(context.Background(), "t", 0)
	require.True(t, fault.Is(err, fault.Unavailable))
	require.Empty(t, r.Active())
}

func TestReplicasInDifferentZones(t *testing.T) {
	peers := even(9)
	peers[0].silent = stale // its zone has others
	_, r := drawn(t, Ingester, peers, "-ingester.ring.zone-awareness-enabled", "-instance.zone=z0")
	for i := range uint64(200) {
		set, err := r.Replicas("t", i)
		require.NoError(t, err)
		zones := map[string]bool{}
		for _, p := range set.Instances {
			zones[p.Zone] = true
			require.NotEqual(t, "m0", p.Id)
		}
		require.Len(t, zones, 3)
		require.Equal(t, 1, set.MaxErrors)
	}
}

func TestShardOfATenant(t *testing.T) {
	_, r := drawn(t, Ingester, even(12), "-distributor.ingestion-tenant-shard-size=4")
	seen := map[string]bool{}
	for i := range uint64(500) {
		set, err := r.Replicas("t", i)
		require.NoError(t, err)
		for _, id := range ids(set) {
			seen[id] = true
		}
	}
	require.Len(t, seen, 4)
	readers, err := r.Readers(context.Background(), "t", time.Minute)
	require.NoError(t, err)
	for _, id := range ids(readers) {
		require.True(t, seen[id])
	}
	require.Len(t, readers.Instances, 4)
}

func TestTooFewReaders(t *testing.T) {
	peers := even(5)
	peers[1].silent, peers[3].state = stale, ring.PENDING
	_, r := drawn(t, Ingester, peers)
	_, err := r.Readers(context.Background(), "t", 0)
	require.True(t, fault.Is(err, fault.Unavailable))
	require.ErrorContains(t, err, "of 5 members, 2 are missing: m1 (UNHEALTHY, last heard of 1h0m0s ago), m3 (PENDING, last heard of ")
	require.ErrorContains(t, err, "with 3 replicas, 1 members may be")
}

// TestAcknowledgedIsRead is R2: whatever happened to members between a write
// and a read, the read finds it or says that it cannot.
func TestAcknowledgedIsRead(t *testing.T) {
	for _, zones := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(7, 8))
		reads := 0
		for round := range 60 {
			var args []string
			if zones {
				args = []string{"-ingester.ring.zone-awareness-enabled", "-instance.zone=z0"}
			}
			peers := even(3 + rng.IntN(8))
			harm := func(chance float64) {
				for i := range peers {
					peers[i].state, peers[i].silent = ring.ACTIVE, 0
					if rng.Float64() < chance {
						peers[i].state = []ring.InstanceState{ring.ACTIVE, ring.LEAVING, ring.PENDING, ring.JOINING}[rng.IntN(4)]
						peers[i].silent = []time.Duration{0, stale}[rng.IntN(2)]
					}
				}
			}
			harm(0.3)
			_, before := drawn(t, Ingester, peers, args...)
			have := map[uint64]map[string]bool{} // series → members that acknowledged
			for series := range uint64(40) {
				set, err := before.Replicas("t", series)
				if err != nil {
					continue
				}
				have[series] = map[string]bool{}
				rng.Shuffle(len(set.Instances), func(i, j int) { set.Instances[i], set.Instances[j] = set.Instances[j], set.Instances[i] })
				for _, p := range set.Instances[set.MaxErrors:] {
					have[series][p.Id] = true
				}
			}
			harm(0.15)
			_, after := drawn(t, Ingester, peers, args...)
			readers, err := after.Readers(context.Background(), "t", 0)
			if err != nil {
				continue
			}
			reads++
			for _, asked := range worstAnswers(readers, rng) {
				for series, members := range have {
					found := false
					for _, id := range asked {
						found = found || members[id]
					}
					require.True(t, found, "round %d zones %v series %d: has %v, asked %v", round, zones, series, members, asked)
				}
			}
		}
		require.Greater(t, reads, 15)
	}
}

// worstAnswers lists who might answer: as few as the set allows.
func worstAnswers(s Set, rng *rand.Rand) [][]string {
	var out [][]string
	for range 10 {
		failing := map[string]bool{}
		var asked []string
		if s.ZoneAwarenessEnabled {
			for _, i := range rng.Perm(len(s.Instances)) {
				if len(failing) < s.MaxUnavailableZones {
					failing[s.Instances[i].Zone] = true
				}
			}
		}
		rng.Shuffle(len(s.Instances), func(i, j int) { s.Instances[i], s.Instances[j] = s.Instances[j], s.Instances[i] })
		for i, p := range s.Instances {
			if i >= s.MaxErrors && !failing[p.Zone] {
				asked = append(asked, p.Id)
			}
		}
		out = append(out, asked)
	}
	return out
}

func TestOneOfManyOwns(t *testing.T) {
	peers := append(even(4), peer{id: "observer", state: ring.ACTIVE})
	_, r := drawn(t, Compactor, peers)
	own := 0
	for i := range uint64(1000) {
		mine, err := r.Owns("t", i)
		require.NoError(t, err)
		set, err := r.Replicas("t", i)
		require.NoError(t, err)
		require.Len(t, set.Instances, 1)
		require.Equal(t, set.Instances[0].Id == "observer", mine)
		if mine {
			own++
		}
	}
	require.InDelta(t, 200, own, 100)
}

func TestActiveMembers(t *testing.T) {
	peers := even(4)
	peers[2].state, peers[3].silent = ring.LEAVING, stale
	_, r := drawn(t, QueryScheduler, peers)
	var got []string
	for _, p := range r.Active() {
		got = append(got, p.Id)
	}
	require.Equal(t, []string{"m0", "m1"}, got)
}

func BenchmarkReplicas(b *testing.B) {
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, r := drawn(b, Ingester, even(n))
			for i := uint64(0); b.Loop(); i++ {
				if _, err := r.Replicas("t", i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
