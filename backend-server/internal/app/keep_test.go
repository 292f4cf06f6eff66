package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/ingester"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs/vfstest"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
)

// stores are the roles through which data moves, put together as a process
// does, over any disk and bucket.
type stores struct {
	ingester *ingester.Ingester
	gateway  *storegateway.Gateway
	querier  *querier.Querier
}

// epoch is when the profiles of these tests are of: so long ago that no retry
// can keep their blocks on the local disk.
const epoch = profile.UnixMilli(1_700_000_000_000)

func startStores(ctx context.Context, fsys vfs.FS, dir string, bkt objstore.Bucket) (*stores, error) {
	cfg := Default()
	cfg.Ingester.DataPath = dir
	cfg.Ingester.RetryWindow = time.Hour
	cfg.Ingester.Disk.LocalRetention = 0
	logger := slog.New(slog.DiscardHandler)
	s := new(stores)
	s.gateway = storegateway.New(storegateway.Deps{Bucket: bkt, Registerer: prometheus.NewRegistry(), Logger: logger})
	s.ingester = ingester.New(cfg.Ingester, ingester.Deps{
		FS: fsys, Bucket: bkt, Registerer: prometheus.NewRegistry(), Logger: logger,
		Shipped: func(ctx context.Context, tenantID string, id ulid.ULID) { s.gateway.Notify(ctx, tenantID, id) },
		InBucket: func(ctx context.Context, tenantID string, meta *block.Meta) error {
			ids, err := catalog.Holds(ctx, bkt, tenantID, meta)
			for _, id := range ids {
				err = errors.Join(err, s.gateway.Learn(ctx, tenantID, id))
			}
			return err
		},
	})
	s.querier = querier.New(querier.NewAlone(querier.NewEngine(cfg.Querier), replica.ByRange(s.ingester.View), s.inGateway))
	if err := s.gateway.Sync(ctx); err != nil {
		return nil, err
	}
	return s, services.StartAndAwaitRunning(ctx, s.ingester)
}

func (s *stores) inGateway(ctx context.Context, tenantID string, q *question.Question) ([]query.Queryable, func(), error) {
	return s.gateway.View(ctx, tenantID, wanted(q))
}

func (s *stores) stop() error {
	return services.StopAndAwaitTerminated(context.Background(), s.ingester)
}

func (s *stores) push(recs []profile.Record) error {
	for _, err := range s.ingester.Push(context.Background(), tenant.Anonymous, recs) {
		if err != nil {
			return err
		}
	}
	return nil
}

// ask returns all there is of one type.
func (s *stores) ask(typ profile.Type) (dbtest.Stacks, error) {
	sel := selection(typ)
	a, err := s.querier.Ask(tenant.With(context.Background(), tenant.Anonymous), &question.Question{Kind: question.Tree, Selection: sel})
	if err != nil {
		return nil, err
	}
	return dbtest.FlattenTree(a.Tree), nil
}

func selection(typ profile.Type) query.Selection {
	return query.Selection{Type: typ, Range: profile.TimeRange{Start: epoch, End: epoch + 100_000_000}}
}

func (s *stores) compare(twin *dbtest.Twin, about string) error {
	for _, typ := range dbtest.Types {
		got, err := s.ask(typ)
		if err != nil {
			return fmt.Errorf("%s: %w", about, err)
		}
		if want := twin.Tree(selection(typ)); !maps.Equal(want, got) {
			return fmt.Errorf("%s: %s: got %v, want %v", about, typ, got, want)
		}
	}
	return nil
}

func newBatches(n int) [][]profile.Record {
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(3, 4)), Start: epoch, Length: (90 * time.Minute).Milliseconds()}
	out := make([][]profile.Record, n)
	for i := range out {
		out[i] = []profile.Record{gen.Record(), gen.Record(), gen.Record()}
	}
	return out
}

// localBlocks counts the blocks on the ingester's disk.
func localBlocks(t *testing.T, fsys vfs.FS, dir string) int {
	t.Helper()
	names, err := fsys.List(filepath.Join(dir, "tenants", tenant.Anonymous, "local"))
	require.NoError(t, err)
	return len(names)
}

// While data moves from heads to blocks, from there to a bucket, and off the
// local disk, whoever asks gets the same exact answer.
func TestAnswersStayTheSameWhileDataMoves(t *testing.T) {
	dir := t.TempDir()
	bkt, err := bucket.Open(bucket.Config{Backend: bucket.Filesystem, Dir: filepath.Join(dir, "bucket")}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s, err := startStores(t.Context(), vfs.OS{}, dir, bkt)
	require.NoError(t, err)

	var twin dbtest.Twin
	var pushing sync.RWMutex // held for writing while the answer changes
	done := make(chan struct{})
	var readers errgroup.Group
	for range 2 {
		readers.Go(func() error {
			for {
				select {
				case <-done:
					return nil
				default:
				}
				pushing.RLock()
				err := s.compare(&twin, "while moving")
				pushing.RUnlock()
				if err != nil {
					return err
				}
			}
		})
	}
	for _, batch := range newBatches(6) {
		pushing.Lock()
		require.NoError(t, s.push(batch))
		twin.Add(batch...)
		pushing.Unlock()
		require.NoError(t, s.ingester.Flush(t.Context()))
		require.NoError(t, s.ingester.Tidy(t.Context(), time.Now()))
	}
	close(done)
	require.NoError(t, readers.Wait())
	require.NoError(t, s.compare(&twin, "at the end"))
	require.Eventually(t, func() bool { return localBlocks(t, vfs.OS{}, dir) == 0 }, 5*time.Second, 10*time.Millisecond, "all blocks are in the bucket only")
	require.NoError(t, s.stop())

	s, err = startStores(t.Context(), vfs.OS{}, dir, bkt)
	require.NoError(t, err)
	require.NoError(t, s.compare(&twin, "after a new start"))
	require.NoError(t, s.stop())
}

// moment is what is safe when the power goes: the batches acknowledged, and
// what the bucket, which is somewhere else, has of objects.
type moment struct {
	acked   int
	objects map[string][]byte
}

// The power goes at any moment between a push and the last local block being
// removed: nothing is lost, nothing is counted twice.
func TestPowerCutBetweenDiskAndBucket(t *testing.T) {
	batches := newBatches(4)
	bkt := &halfway{Bucket: objstore.NewInMemBucket(), memory: map[string][]byte{}}
	mem := vfs.NewMem()
	require.NoError(t, vfs.MakeDir(mem, "/data"))
	var mu sync.Mutex
	acked := 0
	w := vfstest.Watch(mem, 1, func() moment {
		mu.Lock()
		defer mu.Unlock()
		return moment{acked, bkt.objects()}
	})
	s, err := startStores(t.Context(), w.FS(), "/data", bkt)
	require.NoError(t, err)
	for i, batch := range batches {
		require.NoError(t, s.push(batch))
		mu.Lock()
		acked++
		mu.Unlock()
		if i%2 == 1 {
			require.NoError(t, s.ingester.Flush(t.Context()))
			require.NoError(t, s.ingester.Tidy(t.Context(), time.Now()))
		}
	}
	require.NoError(t, s.stop())
	cuts := w.Cuts()
	require.Greater(t, len(cuts), 50)
	step := 3
	if testing.Short() {
		step = 15
	}
	for i := 0; i < len(cuts); i += step {
		checkCut(t, cuts[i], batches)
	}
	t.Logf("%d power cuts", len(cuts)/step)
}

func checkCut(t *testing.T, cut vfstest.Cut[moment], batches [][]profile.Record) {
	t.Helper()
	after := objstore.NewInMemBucket()
	for name, content := range cut.Note.objects {
		require.NoError(t, after.Upload(t.Context(), name, reader(content)))
	}
	s, err := startStores(t.Context(), cut.FS, "/data", after)
	require.NoError(t, err, cut.Step)
	var twin dbtest.Twin
	for i, batch := range batches[:min(len(batches), cut.Note.acked+1)] {
		if i == cut.Note.acked { // this one was on its way, and is sent again
			require.NoError(t, s.push(batch), cut.Step)
		}
		twin.Add(batch...)
	}
	require.NoError(t, s.compare(&twin, cut.Step))
	require.NoError(t, s.ingester.Flush(t.Context()), cut.Step)
	require.NoError(t, s.ingester.Tidy(t.Context(), time.Now()), cut.Step)
	require.NoError(t, s.compare(&twin, cut.Step+", moved on"))
	require.NoError(t, s.stop())
}

// A retry of what has left the local disk is not asked for any more: it is too
// old for the distributor. One that is not too old finds its block.
func TestRetriesWithinTheWindow(t *testing.T) {
	mem := vfs.NewMem()
	require.NoError(t, vfs.MakeDir(mem, "/data"))
	s, err := startStores(t.Context(), mem, "/data", objstore.NewInMemBucket())
	require.NoError(t, err)
	batch := newBatches(1)[0]
	for i := range batch {
		batch[i].Time = profile.UnixMilli(time.Now().Add(-50 * time.Minute).UnixMilli())
	}
	require.NoError(t, s.push(batch))
	require.NoError(t, s.ingester.Flush(t.Context()))
	require.NoError(t, s.ingester.Tidy(t.Context(), time.Now().Add(15*time.Minute)))
	require.NotZero(t, localBlocks(t, mem, "/data"))
	require.NoError(t, s.push(batch))
	view, release, err := s.ingester.View(t.Context(), tenant.Anonymous, profile.TimeRange{End: 1 << 60})
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(view, func(u query.Queryable) bool { return u.Origin().Parent == ulid.ULID{} }), "nothing is in a head")
	release()
	require.NoError(t, s.ingester.Tidy(t.Context(), time.Now().Add(30*time.Minute)))
	require.Zero(t, localBlocks(t, mem, "/data"))
	require.NoError(t, s.stop())
}
