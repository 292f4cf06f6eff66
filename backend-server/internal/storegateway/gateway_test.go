package storegateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const team = "team-a"

// noLog is a write-ahead log that forgets.
type noLog struct{}

func (noLog) Enqueue([]byte) (wal.Ticket, error)      { return 0, nil }
func (noLog) Wait(context.Context, wal.Ticket) error  { return nil }
func (noLog) Last() wal.Ticket                        { return 0 }
func at(ms ...profile.UnixMilli) []profile.UnixMilli  { return ms }
func within(a, b profile.UnixMilli) profile.TimeRange { return profile.TimeRange{Start: a, End: b} }
func all() profile.TimeRange                          { return within(0, 1<<40) }
func discard() *slog.Logger                           { return slog.New(slog.DiscardHandler) }
func newGateway(bkt objstore.BucketReader) *Gateway {
	return New(Deps{Bucket: bkt, Registerer: prometheus.NewRegistry(), Logger: discard()})
}
func object(id ulid.ULID, file string) (name string) {
	return team + "/blocks/" + id.String() + "/" + file
}
func mustGet(units []query.Queryable) (out []ulid.ULID) {
	for _, u := range units {
		out = append(out, u.Origin().ID)
	}
	return out
}

// put makes a block with a profile at each of the times and ships it.
func put(t *testing.T, bkt objstore.Bucket, times []profile.UnixMilli) ulid.ULID {
	t.Helper()
	h := head.New(ulid.Make(), noLog{})
	for _, ms := range times {
		p := &profile.Profile{
			Types:     []profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
			Strings:   []string{"", "main"},
			Mappings:  make([]profile.Mapping, 1),
			Functions: []profile.Function{{Name: 1}},
			Lines:     []profile.Line{{}},
			Locations: []profile.Location{{LineEnd: 1}},
			Frames:    []uint32{0},
			Samples:   []profile.Sample{{FrameEnd: 1}},
			Values:    []int64{10},
			LabelSets: make([][]profile.LabelPair, 1),
		}
		rec := &profile.Record{ID: uint64(ms), Labels: labels.FromStrings("__name__", "process_cpu", "service_name", "a"), Time: ms, Profile: p, SampleEnd: 1}
		for _, err := range h.Append(t.Context(), []*profile.Record{rec}) {
			require.NoError(t, err)
		}
	}
	id, dir := ulid.Make(), t.TempDir()
	meta, err := block.Write(t.Context(), vfs.OS{}, dir, id, h, all())
	require.NoError(t, err)
	raw, err := os.ReadFile(filepath.Join(dir, block.MetaFile))
	require.NoError(t, err)
	b := bucket.Block{Tenant: team, ID: id, Meta: raw, Open: func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) }}
	for _, f := range meta.Files {
		b.Files = append(b.Files, bucket.File(f))
	}
	require.NoError(t, bucket.Upload(t.Context(), bkt, b))
	return id
}

func view(t *testing.T, g *Gateway, r profile.TimeRange) ([]query.Queryable, func()) {
	t.Helper()
	units, release, err := g.View(t.Context(), team, Wanted{Range: r})
	require.NoError(t, err)
	return units, release
}

func TestViewFollowsTheBucket(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	g := newGateway(bkt)
	_, _, err := g.View(t.Context(), team, Wanted{Range: all()})
	require.True(t, fault.Is(err, fault.Unavailable), "G1")
	require.Error(t, g.Ready())

	early, late := put(t, bkt, at(100, 200)), put(t, bkt, at(1000))
	require.NoError(t, g.Sync(t.Context()))
	require.NoError(t, g.Ready())
	units, release := view(t, g, all())
	require.ElementsMatch(t, []ulid.ULID{early, late}, mustGet(units))
	release()
	units, release = view(t, g, within(150, 999))
	require.Equal(t, []ulid.ULID{early}, mustGet(units))
	require.Equal(t, within(100, 200), units[0].TimeRange())
	release()
	other, release, err := g.View(t.Context(), "team-b", Wanted{Range: all()})
	require.NoError(t, err)
	require.Empty(t, other)
	release()

	third := put(t, bkt, at(5))
	g.Notify(t.Context(), team, third)
	g.Notify(t.Context(), team, third)
	units, release = view(t, g, all())
	require.Len(t, units, 3)
	release()
	require.EqualValues(t, 3, testutil.ToFloat64(g.metrics.known))

	require.NoError(t, bkt.Delete(t.Context(), object(early, block.MetaFile)))
	require.NoError(t, bkt.Delete(t.Context(), object(early, block.DataFile)))
	require.NoError(t, g.Sync(t.Context()))
	units, release = view(t, g, all())
	require.ElementsMatch(t, []ulid.ULID{late, third}, mustGet(units))
	release()
}

func TestBlocksAreOpenedWhenReadAndClosedWhenIdle(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	put(t, bkt, at(100))
	g := newGateway(bkt)
	require.NoError(t, g.Sync(t.Context()))
	open := func() float64 { return testutil.ToFloat64(g.metrics.open) }

	units, release := view(t, g, all())
	require.Zero(t, open(), "nobody has read yet")
	require.Equal(t, "process_cpu:cpu:nanoseconds::", selectOne(t, units[0]))
	require.EqualValues(t, 1, open())
	g.closeIdle(time.Now().Add(time.Hour))
	require.EqualValues(t, 1, open(), "a view holds it (G2)")
	release()
	release()
	g.closeIdle(time.Now().Add(-time.Hour))
	require.EqualValues(t, 1, open(), "not idle for long enough")
	g.closeIdle(time.Now().Add(time.Hour))
	require.Zero(t, open())
	units, release = view(t, g, all())
	selectOne(t, units[0])
	require.NoError(t, g.stop(nil))
	require.EqualValues(t, 1, open(), "a view outlives the gateway")
	release()
	require.Zero(t, open())
}

func selectOne(t *testing.T, u query.Queryable) string {
	t.Helper()
	series, err := u.Select(t.Context(), labels.MustNewMatcher(labels.MatchEqual, "service_name", "a"))
	require.NoError(t, err)
	require.Len(t, series, 1)
	n := 0
	require.NoError(t, u.Scan(t.Context(), query.ScanRequest{Rows: []uint32{series[0].Rows}, Range: all()}, func(*query.Row) error { n++; return nil }))
	require.Equal(t, 1, n)
	table, err := u.Symbols(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, "main", table.FunctionName(0))
	return series[0].Labels.Get(profile.LabelProfileType)
}

func TestUnfinishedAndBrokenBlocksAreNotThere(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	whole, unfinished, broken := put(t, bkt, at(1)), put(t, bkt, at(2)), put(t, bkt, at(3))
	require.NoError(t, bkt.Delete(t.Context(), object(unfinished, block.MetaFile)))
	r, err := bkt.Get(t.Context(), object(broken, block.MetaFile))
	require.NoError(t, err)
	require.NoError(t, bkt.Upload(t.Context(), object(broken, block.MetaFile), io.LimitReader(r, 50)))
	g := newGateway(bkt)
	require.NoError(t, g.Sync(t.Context()))
	units, release := view(t, g, all())
	defer release()
	require.Equal(t, []ulid.ULID{whole}, mustGet(units))
	require.EqualValues(t, 1, testutil.ToFloat64(g.metrics.brokenMetas))
}

// away is a bucket that cannot be listed while it is away.
type away struct {
	objstore.Bucket
	err error
}

func (a *away) Iter(ctx context.Context, dir string, f func(string) error, o ...objstore.IterOption) error {
	if a.err != nil {
		return a.err
	}
	return a.Bucket.Iter(ctx, dir, f, o...)
}

func TestABucketThatGoesAwayKeepsTheList(t *testing.T) {
	bkt := &away{Bucket: objstore.NewInMemBucket(), err: errors.New("no route")}
	g := newGateway(bkt)
	require.Error(t, g.Sync(t.Context()))
	require.ErrorContains(t, g.Ready(), "no route")

	bkt.err = nil
	put(t, bkt, at(1))
	require.NoError(t, g.Sync(t.Context()))
	bkt.err = errors.New("no route")
	require.Error(t, g.Sync(t.Context()))
	require.NoError(t, g.Ready())
	units, release := view(t, g, all())
	defer release()
	require.Len(t, units, 1)
}

func TestOpeningCanBeGivenUp(t *testing.T) {
	e := newEntry(&block.Meta{}, &source{caches: newGateway(objstore.NewInMemBucket()).caches})
	e.lock <- struct{}{} // somebody opens it, slowly
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Select(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// What a gateway was told of, it shows.
func TestLearn(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	g := newGateway(bkt)
	id := put(t, bkt, at(100, 200))
	require.True(t, fault.Is(g.Learn(t.Context(), team, id), fault.Unavailable), "the bucket has not been listed")

	require.NoError(t, g.Sync(t.Context()))
	late := put(t, bkt, at(300))
	require.NoError(t, g.Learn(t.Context(), team, late))
	units, release := view(t, g, all())
	require.ElementsMatch(t, []ulid.ULID{id, late}, mustGet(units), "nobody had told about the second one")
	release()
	require.True(t, fault.Is(g.Learn(t.Context(), team, ulid.Make()), fault.NotFound))
}

// An index may list what is not there any more: a query finds that out, and the
// next one is not told of it.
func TestABlockThatOnlyTheIndexHas(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	id := put(t, bkt, at(1))
	raw, err := bucket.Meta(t.Context(), bkt, team, id)
	require.NoError(t, err)
	meta, err := block.ReadMeta(raw)
	require.NoError(t, err)
	require.NoError(t, catalog.WriteIndex(t.Context(), bkt, team, catalog.Index{Written: time.Now(), Blocks: []*block.Meta{meta}}))
	require.NoError(t, bucket.Delete(t.Context(), bkt, team, id))
	g := newGateway(bkt)
	require.NoError(t, g.Sync(t.Context()))
	units, release := view(t, g, all())
	require.Len(t, units, 1)
	_, err = units[0].Select(t.Context())
	require.True(t, fault.Is(err, fault.NotFound))
	release()
	units, release = view(t, g, all())
	defer release()
	require.Empty(t, units)
}

// A tenant whose deletions take long to be read holds up no other.
func TestDeletionsOfTenantsAreReadAtOnce(t *testing.T) {
	const slow = "slow"
	begun, end := make(chan struct{}), make(chan struct{})
	g := New(Deps{Bucket: objstore.NewInMemBucket(), Registerer: prometheus.NewRegistry(), Logger: discard(),
		Deletions: func(_ context.Context, tenantID string) (deletion.Rules, error) {
			if tenantID == slow {
				close(begun)
				<-end
			}
			return nil, nil
		}})
	done := make(chan error)
	go func() { done <- g.LearnDeletions(t.Context(), slow) }()
	<-begun
	require.NoError(t, g.LearnDeletions(t.Context(), team))
	close(end)
	require.NoError(t, <-done)
}
