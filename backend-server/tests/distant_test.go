package tests

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/tests/stores"
)

// distant is a cluster whose blocks are in S3. What its store-gateway, and what
// its compactor, ask of the store is counted.
type distant struct {
	*fleet
	store            stores.Store
	gateway, compact *meter
}

// deletionDelay is how long replaced blocks stay.
const deletionDelay = 2 * time.Second

func newDistant(t *testing.T) *distant {
	t.Helper()
	s := stores.Start(t, bucket.S3)
	d := &distant{store: s, gateway: newMeter(t, s.Address), compact: newMeter(t, s.Address)}
	d.fleet = emptyFleet(t, newLoopback(t), []place{
		{"store-gateway", 1}, {"query-scheduler", 1}, {"ingester", 3}, {"distributor", 1}, {"querier", 1}, {"query-frontend", 1}, {"compactor", 1},
	}, append([]string{"-compactor.after=0s", "-compactor.interval=1h", "-compactor.deletion-delay=" + deletionDelay.String(), "-query-frontend.cache-max-bytes=0"}, s.Flags...)...)
	d.named("store-gateway-1").flags = []string{"-storage.s3.endpoint=" + d.gateway.address()}
	d.named("compactor-1").flags = []string{"-storage.s3.endpoint=" + d.compact.address()}
	d.bringUp()
	return d
}

// compactOnce makes a round of the compactor and returns what it asked of the store.
func (d *distant) compactOnce() usage {
	d.t.Helper()
	d.compact.take()
	code, body := d.named("compactor-1").post("/compactor/run", "", nil)
	require.Equal(d.t, http.StatusNoContent, code, body)
	return d.compact.take()
}

// loseDisks starts the ingesters again without any data.
func (d *distant) loseDisks() {
	d.t.Helper()
	for _, m := range d.with("ingester") {
		m.leave()
		require.NoError(d.t, os.RemoveAll(filepath.Join(m.data(), "tenants")))
	}
	d.start(d.with("ingester")...)
	d.settle()
}

// cool starts the store-gateway again with nothing kept of any block.
func (d *distant) cool() {
	d.t.Helper()
	m := d.named("store-gateway-1")
	m.leave()
	require.NoError(d.t, os.RemoveAll(filepath.Join(m.data(), "store-gateway-cache")))
	d.start(m)
	d.settle()
	d.gateway.take()
}

// blocks returns the meta files of all blocks in the bucket.
func (d *distant) blocks() (out []*block.Meta) {
	d.t.Helper()
	bkt, err := bucket.Open(d.store.Config, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(d.t, err)
	defer bkt.Close()
	ids, err := bucket.Blocks(d.t.Context(), bkt, tenant.Anonymous)
	require.NoError(d.t, err)
	for _, id := range ids {
		raw, err := bucket.Meta(d.t.Context(), bkt, tenant.Anonymous, id)
		require.NoError(d.t, err)
		m, err := block.ReadMeta(raw)
		require.NoError(d.t, err)
		out = append(out, m)
	}
	return out
}

// TestDistantBucket goes the whole way of a day's profiles: three copies, blocks
// in S3, nothing left on the disks of ingesters, compacted; and asks a
// store-gateway that has nothing yet, of a bucket that is far.
func TestDistantBucket(t *testing.T) {
	short(t)
	d, day := newDistant(t), newDay(20, 30*time.Minute)
	front := d.endpoints("query-frontend")[0].server
	profiles := day.push(t, d.endpoints("distributor"))
	d.flushAll()
	shipped := d.blocks()
	d.loseDisks()
	day.verify(t, front, "from three copies in the bucket")

	t.Logf("first round: %s", d.compactOnce())
	time.Sleep(deletionDelay)
	t.Logf("second round: %s", d.compactOnce())
	left := d.blocks()
	require.Len(t, left, 1, "the day is over, and one block")
	require.Less(t, sizeOf(left), sizeOf(shipped)/2)
	t.Logf("%d profiles; %d blocks of %d bytes shipped, %d blocks of %d bytes left", profiles, len(shipped), sizeOf(shipped), len(left), sizeOf(left))
	day.verify(t, front, "by a store-gateway that saw it all")

	d.cool()
	d.gateway.distance(distance)
	one := day.programs[3]
	begin := time.Now()
	day.graph(t, front, one)
	cold := d.gateway.take()
	t.Logf("flame graph of a service, each read %s longer: cold %s, %s", distance, time.Since(begin), cold)
	begin = time.Now()
	day.graph(t, front, one)
	t.Logf("again: %s, %s", time.Since(begin), d.gateway.take())
	// Of each block the tail, symbols and numbers; of each part of the question
	// two kinds of samples.
	require.LessOrEqual(t, cold.requests[http.MethodGet], 3*len(left)+2*dayParts)
	d.gateway.distance(0)
	day.verify(t, front, "from compacted blocks alone")
}

const (
	// distance is how much longer requests to a distant store take.
	distance = 200 * time.Millisecond
	// dayParts is into how many parts a question about a day is cut.
	dayParts = 4
)

// sizeOf is the size of all files of blocks.
func sizeOf(blocks []*block.Meta) (n int64) {
	for _, m := range blocks {
		n += m.Size()
	}
	return n
}
