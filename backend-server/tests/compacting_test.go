package tests

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore/providers/filesystem"
)

// compacting makes compactors work all the time, and remove what they have
// replaced soon after.
var compacting = []string{
	"-compactor.after=0s", "-compactor.ranges=1m,5m", "-compactor.interval=1s", "-compactor.deletion-delay=10s", "-compactor.max-block-bytes=20KiB",
	"-compactor.ring.heartbeat-period=" + fleetHeartbeat.String(), "-compactor.ring.heartbeat-timeout=" + fleetTimeout.String(),
}

// TestCompactingCluster disturbs a cluster whose blocks are made, replaced and
// removed all the time. One process of a kind may be missing: no query fails.
func TestCompactingCluster(t *testing.T) {
	short(t)
	t.Parallel()
	d := newDisturbed(t, newFleet(t, newLoopback(t), []place{
		{"store-gateway", 3}, {"query-scheduler", 2}, {"ingester", 4}, {"distributor", 2}, {"querier", 2}, {"query-frontend", 2}, {"compactor", 2},
	}, compacting...))
	d.whileCompacting("compactors are killed in turn", func() { d.inTurn("compactor-1", "compactor-2", "compactor-1", "compactor-2") })
	d.whileCompacting("a store-gateway is killed and comes back", func() { d.inTurn("store-gateway-1") })
	d.whileCompacting("an ingester is killed and comes back", func() { d.inTurn("ingester-1") })
	d.whileCompacting("a store-gateway, an ingester and a compactor are restarted", func() {
		for _, name := range []string{"store-gateway-2", "ingester-2", "compactor-1"} {
			d.named(name).restart()
		}
	})
	d.inBlocks()

	bkt, err := filesystem.NewBucket(filepath.Join(d.dir, "bucket"))
	require.NoError(t, err)
	b := &shelf{bkt: bkt}
	require.Eventually(t, func() bool {
		blocks := b.blocks(t)
		for _, m := range blocks {
			if m.Compaction == nil {
				return false
			}
		}
		return len(blocks) < 10
	}, fleetPatience, time.Second, "all is compacted: %s", b.list(t))
	d.ledger.verify(t, d.fronts, "all is compacted")
}

// whileCompacting is while with ingesters that make blocks all the time.
func (d *disturbed) whileCompacting(what string, happens func()) {
	d.t.Helper()
	_, queries := d.while("blocks are made and compacted all the time, "+what, func() {
		done := make(chan struct{})
		flushing := d.keepFlushing(done)
		happens()
		close(done)
		require.Positive(d.t, <-flushing)
	})
	require.Zero(d.t, queries.failed, what)
}
