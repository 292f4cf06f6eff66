package tests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleet is the processes of one cluster, each on an address of its own.
type fleet struct {
	t       *testing.T
	net     network
	dir     string
	flags   []string // of all
	members []*member
	added   int // members that there have been
}

// network is where the processes of a fleet live.
type network interface {
	// addr returns the address of a member, by its number.
	addr(n int) string
	// command returns the command line that runs argv for a member.
	command(n int, argv []string) []string
}

// member is one process, or the place of one that is down.
type member struct {
	*server
	fleet  *fleet
	number int
	name   string
	target string
	flags  []string
	binary string
	up     bool
}

// place says what kind of processes a fleet has, and how many.
type place struct {
	target string
	count  int
}

// roles is the topology that most tests use: with three replicas, any one
// process may be missing.
var roles = []place{
	{"store-gateway", 2}, {"query-scheduler", 2}, {"ingester", 5}, {"distributor", 2}, {"querier", 2}, {"query-frontend", 2},
}

// Times of a ring that is quick to notice. Heartbeats count seconds; each second
// would leave no room for the states of a member that starts or stops.
const (
	fleetHeartbeat = 2 * time.Second
	fleetTimeout   = 6 * time.Second
	fleetPatience  = 90 * time.Second
)

// newFleet starts a cluster and waits until all members know all others.
func newFleet(t *testing.T, on network, places []place, flags ...string) *fleet {
	t.Helper()
	f := emptyFleet(t, on, places, flags...)
	f.bringUp()
	return f
}

func (f *fleet) bringUp() {
	f.t.Helper()
	f.start(f.members...)
	f.settle()
}

// emptyFleet is a fleet of members that are not started.
func emptyFleet(t *testing.T, on network, places []place, flags ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, net: on, dir: t.TempDir()}
	f.flags = append([]string{
		"-server.http-listen-port=4040", "-server.grpc-listen-port=9095", "-memberlist.bind-port=7946",
		"-storage.filesystem.dir=" + filepath.Join(f.dir, "bucket"), "-ingester.ring.replication-factor=3",
		"-self-profiling.enabled=false", "-validation.reject-older-than=0",
	}, flags...)
	for _, ring := range []string{"ingester", "distributor", "query-scheduler", "store-gateway"} {
		f.flags = append(f.flags, fmt.Sprintf("-%s.ring.heartbeat-period=%s", ring, fleetHeartbeat), fmt.Sprintf("-%s.ring.heartbeat-timeout=%s", ring, fleetTimeout))
	}
	for _, p := range places {
		for n := range p.count {
			f.add(fmt.Sprintf("%s-%d", p.target, n+1), p.target, fmt.Sprintf("-instance.zone=zone-%c", 'a'+n%3))
		}
	}
	// The first three are whom the others find the cluster by.
	for n := range min(3, len(f.members)) {
		f.flags = append(f.flags, "-memberlist.join="+f.net.addr(n+1)+":7946")
	}
	return f
}

// add makes a member that is not started.
func (f *fleet) add(name, target string, flags ...string) *member {
	f.added++
	m := &member{fleet: f, number: f.added, name: name, target: target, flags: flags, binary: binary}
	f.members = append(f.members, m)
	return m
}

// start starts members all at once and waits until they are ready.
func (f *fleet) start(members ...*member) {
	f.t.Helper()
	for _, m := range members {
		addr := f.net.addr(m.number)
		argv := slices.Concat([]string{
			m.binary, "-target=" + m.target, "-instance.id=" + m.name, "-db.data-path=" + m.data(),
			"-server.http-listen-address=" + addr, "-server.grpc-listen-address=" + addr, "-memberlist.bind-addr=" + addr,
		}, f.flags, m.flags)
		m.server = launch(f.t, f.net.command(m.number, argv))
		m.up = true
	}
	for _, m := range members {
		require.Eventually(f.t, func() bool { code, _ := m.get("/ready"); return code == http.StatusOK }, fleetPatience, 20*time.Millisecond,
			"%s is not ready", m.name)
	}
}

func (m *member) data() string { return filepath.Join(m.fleet.dir, m.name) }

// die ends a member as a power switch would.
func (m *member) die() {
	m.up = false
	m.kill()
}

// leave ends a member in good order.
func (m *member) leave() {
	m.fleet.t.Helper()
	m.up = false
	m.stop(m.fleet.t)
}

// restart ends a member in good order and starts it again.
func (m *member) restart() {
	m.fleet.t.Helper()
	m.leave()
	m.fleet.start(m)
}

// with returns the members that play a role.
func (f *fleet) with(role string) (out []*member) {
	for _, m := range f.members {
		if m.target == role || m.target == "all" {
			out = append(out, m)
		}
	}
	return out
}

// endpoint is where a member is reached, while it is up.
type endpoint struct {
	*server
	name string
}

// endpoints returns those of the members that play a role.
func (f *fleet) endpoints(role string) (out []*endpoint) {
	for _, m := range f.with(role) {
		out = append(out, &endpoint{&server{url: "http://" + f.net.addr(m.number) + ":4040"}, m.name})
	}
	return out
}

// named returns a member by its name.
func (f *fleet) named(name string) *member {
	f.t.Helper()
	i := slices.IndexFunc(f.members, func(m *member) bool { return m.name == name })
	require.GreaterOrEqual(f.t, i, 0, name)
	return f.members[i]
}

// forget takes a member that has left for good out of the fleet.
func (f *fleet) forget(m *member) {
	f.members = slices.DeleteFunc(f.members, func(o *member) bool { return o == m })
}

// settle waits until every process sees every member that is up as ACTIVE, and
// none in another state.
func (f *fleet) settle() {
	f.t.Helper()
	want := map[string][]string{}
	for _, ring := range []string{"ingester", "query-scheduler", "store-gateway"} {
		for _, m := range f.with(ring) {
			if m.up {
				want[ring] = append(want[ring], m.name+" ACTIVE")
			}
		}
		slices.Sort(want[ring])
	}
	var last string
	require.Eventually(f.t, func() bool {
		for _, m := range f.members {
			if !m.up {
				continue
			}
			got := m.rings()
			for ring, members := range want {
				if !slices.Equal(members, got[ring]) {
					last = fmt.Sprintf("%s sees the %s ring as %v; want %v", m.name, ring, got[ring], members)
					return false
				}
			}
		}
		return true
	}, fleetPatience, 100*time.Millisecond, "the members do not agree")
	if f.t.Failed() {
		f.t.Log(last)
	}
}

// rings returns the members of the rings and their states, as this one sees
// them.
func (m *member) rings() map[string][]string {
	req, err := http.NewRequest(http.MethodGet, m.url+"/ring", nil)
	require.NoError(m.fleet.t, err)
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var pages []struct {
		Name   string
		Shards []struct{ ID, State string }
	}
	if json.NewDecoder(res.Body).Decode(&pages) != nil {
		return nil
	}
	out := map[string][]string{}
	for _, p := range pages {
		for _, s := range p.Shards {
			out[p.Name] = append(out[p.Name], s.ID+" "+s.State)
		}
		slices.Sort(out[p.Name])
	}
	return out
}

// flushAll has all ingesters that are up write and ship what they have.
func (f *fleet) flushAll() {
	f.t.Helper()
	for _, m := range f.with("ingester") {
		if m.up {
			m.flush(f.t)
		}
	}
}

// loopback is a network of addresses 127.a.b.n. They are on every host and need
// no rights, but cannot be cut off from each other.
type loopback string

// newLoopback returns addresses that nobody uses.
func newLoopback(t *testing.T) loopback {
	t.Helper()
	for range 100 {
		l := loopback(fmt.Sprintf("127.%d.%d.", 16+rand.IntN(200), rand.IntN(256)))
		if l.free() {
			return l
		}
	}
	t.Fatal("no loopback addresses are free")
	return ""
}

func (l loopback) free() bool {
	for n := 1; n < 30; n++ {
		for _, port := range []string{"4040", "7946", "9095"} {
			listener, err := net.Listen("tcp", net.JoinHostPort(l.addr(n), port))
			if err != nil {
				return false
			}
			_ = listener.Close()
		}
	}
	return true
}

func (l loopback) addr(n int) string { return string(l) + fmt.Sprint(n) }

func (loopback) command(_ int, argv []string) []string { return argv }

// short skips a test where time is short.
func short(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short")
	}
}

// long skips a test that shows little that shorter ones do not, but for long
// runs, which -cluster.hold=10s or more stands for.
func long(t *testing.T) {
	t.Helper()
	if *hold < 10*time.Second {
		t.Skip("only with -cluster.hold=10s or more")
	}
}
