package storegateway

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// tick is how long a read of a remote bucket takes. In a bubble nothing else
// takes time.
const tick = time.Second

// remote is a bucket far away, which counts the reads of parts of blocks.
type remote struct {
	objstore.Bucket
	mu    sync.Mutex
	reads int
}

func (r *remote) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	time.Sleep(tick)
	r.mu.Lock()
	r.reads++
	r.mu.Unlock()
	return r.Bucket.GetRange(ctx, name, off, length)
}

var cpu = profile.Type{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds"}

// manyBlocks fills a bucket with blocks of an hour each, the first at hour 1.
func manyBlocks(t *testing.T, n int) (bkt *remote, ids []ulid.ULID) {
	t.Helper()
	bkt = &remote{Bucket: objstore.NewInMemBucket()}
	for i := range n {
		hour := profile.UnixMilli(i+1) * query.DigestWindow
		ids = append(ids, put(t, bkt, at(hour+1, hour+1000, hour+30*60_000, hour+59*60_000)))
	}
	return bkt, ids
}

// opened returns a gateway that knows all blocks.
func opened(t *testing.T, bkt objstore.Bucket, cfg Config, dir string) *Gateway {
	t.Helper()
	g := New(Deps{Bucket: bkt, Registerer: prometheus.NewRegistry(), Logger: discard(), Config: cfg, CacheDir: dir})
	require.NoError(t, g.Sync(t.Context()))
	return g
}

// ask asks a gateway as a querier does, and returns the total.
func ask(t *testing.T, g *Gateway, r profile.TimeRange) int64 {
	t.Helper()
	view := func(ctx context.Context, tenantID string, r profile.TimeRange) ([]query.Queryable, func(), error) {
		return g.View(ctx, tenantID, Wanted{Range: r})
	}
	units, release, err := view(t.Context(), team, r)
	require.NoError(t, err)
	defer release()
	snapshot, err := replica.NewDigester(0).Take(t.Context(), units, replica.Selection{Range: r})
	require.NoError(t, err)
	var picks []replica.Pick
	for i := range snapshot.Units() {
		picks = append(picks, replica.Pick{Unit: i, All: true})
	}
	chosen, err := snapshot.Pick(picks)
	require.NoError(t, err)
	q := &question.Question{Kind: question.Tree, Selection: query.Selection{Type: cpu, Range: r}}
	answer, err := question.Over(t.Context(), query.NewEngine(query.Limits{}), team, chosen, q)
	require.NoError(t, err)
	return answer.Tree.Total()
}

// A question about many blocks, of which it cuts some, costs no more than four
// reads in sequence, with all that comes before the sums.
func TestAColdQuestionIsAFewReadsDeep(t *testing.T) {
	bkt, _ := manyBlocks(t, 40)
	for _, r := range []profile.TimeRange{all(), within(query.DigestWindow+500, 40*query.DigestWindow+45*60_000)} {
		synctest.Test(t, func(t *testing.T) {
			g := opened(t, bkt, Config{}, "")
			began := time.Now()
			require.NotZero(t, ask(t, g, r))
			deep := int(time.Since(began) / tick)
			t.Logf("%d deep", deep)
			require.LessOrEqual(t, deep, 4)
		})
	}
}

// Who asks the same at the same time has it read once.
func TestQuestionsShareReads(t *testing.T) {
	bkt, _ := manyBlocks(t, 3)
	synctest.Test(t, func(t *testing.T) {
		g := opened(t, bkt, Config{}, "")
		ask(t, g, all())
		alone := bkt.reads
		bkt.reads = 0
		g = opened(t, bkt, Config{}, "")
		var asked sync.WaitGroup
		for range 8 {
			asked.Go(func() { require.Equal(t, int64(3*4*10), ask(t, g, all())) })
		}
		asked.Wait()
		samples := 7 * 3 // everybody reads the samples of each block
		require.LessOrEqual(t, bkt.reads, alone+samples)
	})
}

func TestMemoryIsBounded(t *testing.T) {
	bkt, _ := manyBlocks(t, 20)
	synctest.Test(t, func(t *testing.T) {
		free := opened(t, bkt, Config{}, "")
		want := ask(t, free, all())
		limit := free.caches.memory.Bytes() / 4
		require.Positive(t, limit)
		require.Zero(t, free.caches.memory.Forgot())

		tight := opened(t, bkt, Config{MemoryBytes: config.Bytes(limit)}, "")
		require.Equal(t, want, ask(t, tight, all()))
		require.LessOrEqual(t, tight.caches.memory.Bytes(), limit)
		require.Positive(t, tight.caches.memory.Forgot())

		require.Equal(t, want, ask(t, opened(t, bkt, Config{MemoryBytes: 1}, ""), all()), "with room for nothing")

		free.closeIdle(time.Now().Add(time.Hour))
		require.Zero(t, free.caches.memory.Bytes(), "closed blocks hold nothing")
	})
}

// After a restart only samples are read again; a block that is gone leaves
// nothing behind.
func TestDiskCacheOverARestart(t *testing.T) {
	bkt, ids := manyBlocks(t, 3)
	dir := filepath.Join(t.TempDir(), CacheDir)
	cfg := Config{DiskBytes: 1 << 20}
	synctest.Test(t, func(t *testing.T) {
		g := opened(t, bkt, cfg, dir)
		want := ask(t, g, all())
		cold := bkt.reads
		require.Equal(t, float64(cold-len(ids)), testutil.ToFloat64(g.metrics.cacheRequests.WithLabelValues(miss)))

		bkt.reads = 0
		g = opened(t, bkt, cfg, dir)
		require.Equal(t, want, ask(t, g, all()))
		require.Equal(t, len(ids), bkt.reads, "the samples of each block")
		require.Positive(t, g.caches.disk.Bytes())

		for _, name := range []string{"data.hearth", "meta.json"} {
			require.NoError(t, bkt.Delete(t.Context(), object(ids[0], name)))
		}
		time.Sleep(tick) // the listing is younger than the block
		require.NoError(t, g.Sync(t.Context()))
		names, err := vfs.OS{}.List(filepath.Join(dir, team))
		require.NoError(t, err)
		require.Len(t, names, 2)
		for _, n := range names {
			require.False(t, strings.HasPrefix(n, ids[0].String()))
		}
		opened(t, bkt, Config{}, dir)
		names, err = vfs.OS{}.List(filepath.Join(dir, team))
		require.NoError(t, err)
		require.Empty(t, names, "without a cache there is none")
	})
}
