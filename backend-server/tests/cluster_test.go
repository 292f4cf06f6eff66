package tests

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The table of docs/operations.md:
//
//	go test ./backend-server/tests -run 'Cluster|Zones|Partition|Monolith' -v -timeout 2h -cluster.hold 30s
var hold = flag.Duration("cluster.hold", 3*time.Second, "for how long members of a cluster are down")

// disturbed is a fleet with what was sent to it, and the table of what clients
// saw.
type disturbed struct {
	*fleet
	ledger *ledger
	fronts []*endpoint
	rows   []string
}

func newDisturbed(t *testing.T, f *fleet) *disturbed {
	d := &disturbed{fleet: f, ledger: newLedger(t, "cluster"), fronts: f.endpoints("query-frontend")}
	t.Cleanup(func() { t.Log("\n" + rowHead + "\n" + strings.Join(d.rows, "\n")) })
	return d
}

// calm is how long the load runs before something happens: what happened before
// must be over, a connection that failed has been tried again.
const calm = 3 * time.Second

// while pushes and asks while something happens, and verifies: with what was
// refused there or not, and after it was sent again.
func (d *disturbed) while(what string, happens func()) (pushes, queries *tally) {
	d.t.Helper()
	w := d.begin(d.t, d.ledger)
	defer w.end()
	time.Sleep(calm)
	happens()
	time.Sleep(time.Second)
	w.end()
	d.rows = append(d.rows, w.row(what))
	d.t.Logf("%s\npushes refused:%s\nqueries refused:%s", what, w.pushes.causes(), w.queries.causes())
	d.settle()
	d.ledger.verify(d.t, d.fronts, what+", afterwards")
	w.redeem()
	n := d.ledger.verify(d.t, d.fronts, what+", after sending again")
	require.False(d.t, d.t.Failed(), what)
	d.t.Logf("%s: %d profiles, each there once", what, n)
	return w.pushes, w.queries
}

// inBlocks verifies with everything in blocks, of which the bucket has all
// copies; without the processes that made them; and with what the bucket has
// alone.
func (d *disturbed) inBlocks() {
	d.t.Helper()
	d.flushAll()
	n := d.ledger.verify(d.t, d.fronts, "in blocks")
	for _, when := range []string{"in blocks, after a new start of the ingesters", "in the bucket"} {
		for _, m := range d.with("ingester") {
			m.die()
			if when == "in the bucket" {
				d.remove(filepath.Join(m.data(), "tenants", "*", "local", "*"))
			}
		}
		d.start(d.with("ingester")...)
		d.settle()
		require.Equal(d.t, n, d.ledger.verify(d.t, d.fronts, when), when)
	}
}

// remove deletes what a pattern matches, which must be something.
func (d *disturbed) remove(pattern string) {
	d.t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(d.t, err)
	require.NotEmpty(d.t, found, pattern)
	for _, name := range found {
		require.NoError(d.t, os.RemoveAll(name))
	}
}

// TestCluster disturbs a cluster under load. Every answer that it gives
// meanwhile, and all answers afterwards, must have each acknowledged profile
// exactly once.
func TestCluster(t *testing.T) {
	short(t)
	t.Parallel()
	d := newDisturbed(t, newFleet(t, newLoopback(t), roles))
	d.while("an ingester is killed and comes back", func() {
		m := d.named("ingester-1")
		m.die()
		time.Sleep(*hold)
		d.start(m)
	})
	d.while("an ingester is stopped (SIGSTOP) and goes on", func() { d.suspend("ingester-2") })
	d.while("query-schedulers and query-frontends are killed in turn", func() {
		d.inTurn("query-scheduler-1", "query-frontend-1", "query-scheduler-2", "query-frontend-2")
	})
	d.while("heads become blocks all the time, an ingester is killed and comes back", func() {
		done := make(chan struct{})
		flushing := d.keepFlushing(done)
		m := d.named("ingester-4")
		m.die()
		time.Sleep(*hold)
		d.start(m)
		close(done)
		require.Positive(d.t, <-flushing)
	})
	d.while("distributors, queriers and store-gateways are killed in turn", func() {
		d.inTurn("distributor-1", "querier-1", "store-gateway-1", "distributor-2", "querier-2", "store-gateway-2")
	})
	d.while("two ingesters are killed and come back", func() {
		one, two := d.named("ingester-3"), d.named("ingester-4")
		one.die()
		two.die()
		time.Sleep(*hold)
		d.start(one, two)
	})
	d.while("all processes are restarted, one after the other", func() {
		for _, m := range d.members {
			m.restart()
			d.settle()
		}
	})
	d.while("an ingester leaves for good, another one joins", func() {
		d.retire(d.named("ingester-5"))
		d.start(d.add("ingester-6", "ingester"))
	})
	d.inBlocks()
}

// inTurn kills members and brings them back, one after the other.
func (d *disturbed) inTurn(names ...string) {
	d.t.Helper()
	for _, name := range names {
		m := d.named(name)
		m.die()
		time.Sleep(*hold / 3)
		d.start(m)
	}
}

// suspend stops members without a word to anybody, and has them go on.
func (d *disturbed) suspend(names ...string) {
	d.t.Helper()
	for _, name := range names {
		require.NoError(d.t, d.named(name).cmd.Process.Signal(syscall.SIGSTOP))
	}
	time.Sleep(max(*hold, 10*time.Second))
	for _, name := range names {
		require.NoError(d.t, d.named(name).cmd.Process.Signal(syscall.SIGCONT))
	}
}

// keepFlushing has all ingesters cut their heads, one after the other, until it
// is done, and then tells how often that went well.
func (d *disturbed) keepFlushing(done <-chan struct{}) <-chan int {
	out, at := make(chan int, 1), d.endpoints("ingester")
	go func() {
		cut := 0
		for n := 0; ; n++ {
			select {
			case <-done:
				out <- cut
				return
			default:
			}
			if code, _ := at[n%len(at)].post("/ingester/flush", "", nil); code == http.StatusNoContent {
				cut++
			}
		}
	}()
	return out
}

// retire has an ingester leave for good: it ships what it has, and nobody
// misses it.
func (d *disturbed) retire(m *member) {
	d.t.Helper()
	code, body := m.post("/ingester/prepare-shutdown", "", nil)
	require.Equal(d.t, http.StatusOK, code, body)
	m.leave()
	d.forget(m)
	require.NoError(d.t, os.RemoveAll(m.data()), "all that it had is in the bucket")
	d.settle()
}

// TestZones is TestCluster where copies are in different zones: of one zone all
// processes may be missing.
func TestZones(t *testing.T) {
	short(t)
	t.Parallel()
	d := newDisturbed(t, newFleet(t, newLoopback(t), roles, "-ingester.ring.zone-awareness-enabled"))
	_, queries := d.while("all ingesters of a zone are killed and come back", func() {
		zone := []*member{d.named("ingester-1"), d.named("ingester-4")}
		for _, m := range zone {
			m.die()
		}
		time.Sleep(*hold)
		d.start(zone...)
	})
	require.Zero(t, queries.failed, "one zone may be missing")
	d.while("a query-scheduler, a querier and a store-gateway are stopped (SIGSTOP) and go on", func() {
		d.suspend("query-scheduler-1", "querier-1", "store-gateway-1")
	})
	d.while("ingesters of two zones are killed and come back", func() {
		two := []*member{d.named("ingester-2"), d.named("ingester-3")}
		for _, m := range two {
			m.die()
		}
		time.Sleep(*hold)
		d.start(two...)
	})
	d.inBlocks()
}

// TestMonolith is a cluster of processes that all do everything. It is the one
// that runs where time is short.
func TestMonolith(t *testing.T) {
	t.Parallel()
	d := newDisturbed(t, newFleet(t, newLoopback(t), []place{{"all", 3}}))
	pushes, queries := d.while("one of three that do everything is killed and comes back", func() {
		m := d.named("all-1")
		m.die()
		time.Sleep(*hold)
		d.start(m)
	})
	require.Zero(t, pushes.failed, "one of three may be missing")
	require.Zero(t, queries.failed, "one of three may be missing")
	d.inBlocks()
}
