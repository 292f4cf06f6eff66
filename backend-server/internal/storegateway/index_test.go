package storegateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/bucket/buckettest"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// metaOf reads a block's meta file.
func metaOf(t *testing.T, bkt objstore.Bucket, id ulid.ULID) *block.Meta {
	t.Helper()
	raw, err := bucket.Meta(t.Context(), bkt, team, id)
	require.NoError(t, err)
	m, err := block.ReadMeta(raw)
	require.NoError(t, err)
	return m
}

// index writes an index of blocks.
func index(t *testing.T, bkt objstore.Bucket, at time.Time, ids ...ulid.ULID) {
	t.Helper()
	idx := catalog.Index{Written: at}
	for _, id := range ids {
		idx.Blocks = append(idx.Blocks, metaOf(t, bkt, id))
	}
	require.NoError(t, catalog.WriteIndex(t.Context(), bkt, team, idx))
}

// replace makes a block say that it takes the place of others.
func replace(t *testing.T, bkt objstore.Bucket, id ulid.ULID, inputs ...ulid.ULID) {
	t.Helper()
	m := metaOf(t, bkt, id)
	m.Compaction = &block.Compaction{Job: ulid.Make(), Inputs: inputs, Level: 1, Shards: 1}
	raw, err := m.Marshal()
	require.NoError(t, err)
	require.NoError(t, bkt.Upload(t.Context(), object(id, block.MetaFile), bytes.NewReader(raw)))
}

func shows(t *testing.T, g *Gateway, want ...ulid.ULID) {
	t.Helper()
	units, release := view(t, g, all())
	defer release()
	require.ElementsMatch(t, want, mustGet(units))
}

// The index saves the meta files of all blocks, and, where it is new, the listing.
func TestTheIndexSavesRequests(t *testing.T) {
	bkt := buckettest.New(objstore.NewInMemBucket(), buckettest.Lag{})
	ids := []ulid.ULID{put(t, bkt, at(1)), put(t, bkt, at(2)), put(t, bkt, at(3))}
	calls := func(g *Gateway) map[buckettest.Op]int {
		bkt.ResetStats()
		require.NoError(t, g.Sync(t.Context()))
		shows(t, g, ids...)
		return bkt.Stats().Calls
	}
	type ops = map[buckettest.Op]int
	const tenants, blocks, read = 1, 1, 1 // listings, and the index
	require.Equal(t, ops{buckettest.Iter: tenants + blocks, buckettest.Get: read + len(ids)}, calls(newGateway(bkt)), "there is no index")

	noon := time.Now().Truncate(time.Second)
	index(t, bkt.Bucket, noon, ids...)
	g := newGateway(bkt)
	require.Equal(t, ops{buckettest.Iter: tenants + blocks, buckettest.Get: read}, calls(g))
	require.Equal(t, ops{buckettest.Iter: tenants + blocks, buckettest.Get: read}, calls(g), "the same index: what was shipped since may have been missed")
	index(t, bkt.Bucket, noon.Add(time.Minute), ids...)
	require.Equal(t, ops{buckettest.Iter: tenants, buckettest.Get: read}, calls(g), "a new one")

	require.NoError(t, bkt.Bucket.Upload(t.Context(), team+"/index.json.gz", bytes.NewReader([]byte("x"))))
	require.Equal(t, ops{buckettest.Iter: tenants + blocks, buckettest.Get: read}, calls(g), "one that cannot be read")
}

// A block that a listing, or the index, does not have is missing only if it is
// not in the bucket.
func TestListingsAndIndexesThatLag(t *testing.T) {
	bkt := buckettest.New(objstore.NewInMemBucket(), buckettest.Lag{List: 1000})
	g := newGateway(bkt)
	require.NoError(t, g.Sync(t.Context()))
	one := put(t, bkt, at(1))
	require.NoError(t, g.Learn(t.Context(), team, one))
	require.NoError(t, g.Sync(t.Context()))
	shows(t, g, one)
	two := put(t, bkt, at(2))
	g.Notify(t.Context(), team, two)
	noon := time.Now()
	for i := range 3 {
		index(t, bkt.Bucket, noon.Add(time.Duration(i)*time.Minute), one)
		require.NoError(t, g.Sync(t.Context()))
		shows(t, g, one, two)
	}
	require.NoError(t, bucket.Delete(t.Context(), bkt, team, two))
	require.NoError(t, g.Sync(t.Context()))
	shows(t, g, one)
	require.EqualValues(t, 1, testutil.ToFloat64(g.metrics.known))
}

// Blocks whose place others take are not shown any more; who reads them goes on.
func TestBlocksAreReplacedWhileTheyAreRead(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	old := []ulid.ULID{put(t, bkt, at(100)), put(t, bkt, at(200))}
	g := newGateway(bkt)
	require.NoError(t, g.Sync(t.Context()))
	units, release := view(t, g, all())
	require.Len(t, units, 2)

	made := put(t, bkt, at(100, 200))
	replace(t, bkt, made, old...)
	g.Notify(t.Context(), team, made)
	shows(t, g, made)
	named, done, err := g.View(t.Context(), team, Wanted{Range: all(), Only: old[:1]})
	require.NoError(t, err, "by name they are found as long as they are there")
	require.Equal(t, old[:1], mustGet(named))
	done()
	overview, err := g.Overview(t.Context(), team, Wanted{Range: all()})
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{made}, overview.Blocks)

	for _, u := range units {
		selectOne(t, u)
	}
	for _, id := range old {
		require.NoError(t, bucket.Delete(t.Context(), bkt, team, id))
	}
	require.NoError(t, g.Sync(t.Context()))
	require.EqualValues(t, 1, testutil.ToFloat64(g.metrics.known))
	require.EqualValues(t, 2, testutil.ToFloat64(g.metrics.open), "the view holds them")
	release()
	require.Zero(t, testutil.ToFloat64(g.metrics.open))
	_, _, err = g.View(t.Context(), team, Wanted{Range: all(), Only: old})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	shows(t, g, made)

	require.NoError(t, bucket.Delete(t.Context(), bkt, team, made))
	require.NoError(t, g.Sync(t.Context()))
	shows(t, g)
}

// A block that is asked for by name is looked for in the bucket.
func TestNamedBlocksAreLookedFor(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	g := newGateway(bkt)
	require.NoError(t, g.Sync(t.Context()))
	late := put(t, bkt, at(1))
	units, release, err := g.View(t.Context(), team, Wanted{Range: all(), Only: []ulid.ULID{late}})
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{late}, mustGet(units))
	release()
	_, _, err = g.View(t.Context(), team, Wanted{Range: all(), Only: []ulid.ULID{late, ulid.Make()}})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	none, release, err := g.View(t.Context(), team, Wanted{Range: all(), Only: []ulid.ULID{}})
	require.NoError(t, err)
	require.Empty(t, none, "none at all, which is not all")
	release()
}

// Blocks without the service that is asked for are not looked at.
func TestBlocksAreChosenByService(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	id := put(t, bkt, at(1))
	g := newGateway(bkt)
	require.NoError(t, g.Sync(t.Context()))
	service := func(typ labels.MatchType, v string) []*labels.Matcher {
		return []*labels.Matcher{labels.MustNewMatcher(typ, profile.LabelServiceName, v)}
	}
	for _, c := range []struct {
		matchers [][]*labels.Matcher
		want     int
	}{
		{nil, 1},
		{[][]*labels.Matcher{service(labels.MatchEqual, "a")}, 1},
		{[][]*labels.Matcher{service(labels.MatchEqual, "b")}, 0},
		{[][]*labels.Matcher{service(labels.MatchEqual, "b"), service(labels.MatchRegexp, "a|c")}, 1},
		{[][]*labels.Matcher{service(labels.MatchNotEqual, "a")}, 0},
		{[][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "pod", "x")}}, 1},
	} {
		w := Wanted{Range: all(), Matchers: c.matchers}
		overview, err := g.Overview(t.Context(), team, w)
		require.NoError(t, err)
		require.Len(t, overview.Blocks, c.want, "%v", c.matchers)
		units, release, err := g.View(t.Context(), team, w)
		require.NoError(t, err)
		require.Len(t, units, c.want, "%v", c.matchers)
		release()
	}
	units, release, err := g.View(t.Context(), team, Wanted{Range: within(5, 9), Matchers: [][]*labels.Matcher{service(labels.MatchEqual, "b")}, Only: []ulid.ULID{id}})
	require.NoError(t, err)
	require.Len(t, units, 1, "what is named was chosen by somebody else")
	release()
}

// What is deleted is known before any block is shown, and stays known if the
// bucket cannot be read.
func TestDeletionsAreLearnt(t *testing.T) {
	var rules deletion.Rules
	var failure error
	retention := deletion.Rule{ID: ulid.Make()}
	g := New(Deps{
		Bucket: objstore.NewInMemBucket(), Registerer: prometheus.NewRegistry(), Logger: discard(),
		Deletions: func(context.Context, string) (deletion.Rules, error) { return rules, failure },
		Retention: func(string) deletion.Rules { return deletion.Rules{retention} },
	})
	put(t, g.bkt.(objstore.Bucket), at(1))
	_, err := g.Deleted(team)
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	failure = errors.New("no route")
	require.ErrorIs(t, g.Sync(t.Context()), failure)
	require.Error(t, g.Ready(), "blocks are not shown without")

	failure, rules = nil, deletion.Rules{{ID: ulid.Make()}}
	require.NoError(t, g.Sync(t.Context()))
	want := deletion.Rules{rules[0], retention}
	deleted, err := g.Deleted(team)
	require.NoError(t, err)
	require.Equal(t, want, deleted)
	failure, rules = errors.New("no route"), nil
	require.ErrorIs(t, g.LearnDeletions(t.Context(), team), failure)
	overview, err := g.Overview(t.Context(), team, Wanted{Range: all()})
	require.NoError(t, err)
	require.Equal(t, want, overview.Deleted)
	failure = nil
	require.NoError(t, g.LearnDeletions(t.Context(), team))
	deleted, err = g.Deleted(team)
	require.NoError(t, err)
	require.Equal(t, deletion.Rules{retention}, deleted)
	deleted, err = g.Deleted("team-b")
	require.NoError(t, err)
	require.Equal(t, deletion.Rules{retention}, deleted, "of a tenant that is not known")
}

// A tenant whose deletions cannot be read shows nothing, and others all they
// have.
func TestUnreadableDeletionsAreOneTenantsTrouble(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	put(t, bkt, at(100))
	broken := fault.New(fault.Corrupt, "version 9")
	g := New(Deps{
		Bucket: bkt, Registerer: prometheus.NewRegistry(), Logger: discard(),
		Deletions: func(_ context.Context, tenantID string) (deletion.Rules, error) {
			if tenantID == team {
				return nil, broken
			}
			return nil, nil
		},
	})
	require.NoError(t, bkt.Upload(t.Context(), "team-b/deletions/x", strings.NewReader("")))
	require.NoError(t, g.Sync(t.Context()))
	require.NoError(t, g.Ready())
	_, _, err := g.View(t.Context(), team, Wanted{Range: all()})
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	require.ErrorContains(t, err, "version 9")
	_, err = g.Overview(t.Context(), team, Wanted{Range: all()})
	require.ErrorContains(t, err, "version 9")
	_, release, err := g.View(t.Context(), "team-b", Wanted{Range: all()})
	require.NoError(t, err)
	release()
	broken = nil
	require.NoError(t, g.LearnDeletions(t.Context(), team))
	units, release := view(t, g, all())
	require.Len(t, units, 1)
	release()
}

// A question reads several blocks at once, and ends with the first that is gone.
// What has taken their place is found all the same, so that who asks again has an
// answer.
func TestManyBlocksAreGoneAtOnce(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	var old []ulid.ULID
	for i := range profile.UnixMilli(8) {
		old = append(old, put(t, bkt, at(100*(i+1))))
	}
	slow := false // to look for what is new
	g := New(Deps{Bucket: bkt, Registerer: prometheus.NewRegistry(), Logger: discard(),
		Deletions: func(ctx context.Context, _ string) (deletion.Rules, error) {
			if !slow {
				return nil, nil
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(100 * time.Millisecond):
				return nil, nil
			}
		}})
	require.NoError(t, g.Sync(t.Context()))
	units, release := view(t, g, all())
	require.Len(t, units, len(old))

	made := put(t, bkt, at(100, 200, 300, 400, 500, 600, 700, 800))
	replace(t, bkt, made, old...)
	index(t, bkt, time.Now(), made)
	for _, id := range old {
		require.NoError(t, bucket.Delete(t.Context(), bkt, team, id))
	}
	slow = true
	question, ctx := errgroup.WithContext(t.Context())
	for _, u := range units {
		question.Go(func() error {
			_, err := u.Select(ctx)
			return err
		})
	}
	err := question.Wait()
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	release()
	shows(t, g, made)
}

// replaced are blocks that are gone, and the one that has taken their place, which
// no index has.
func replaced(t *testing.T, bkt objstore.Bucket, g *Gateway) (old []ulid.ULID, made ulid.ULID) {
	t.Helper()
	old = []ulid.ULID{put(t, bkt, at(100)), put(t, bkt, at(200))}
	require.NoError(t, g.Sync(t.Context()))
	made = put(t, bkt, at(100, 200))
	replace(t, bkt, made, old...)
	for _, id := range old {
		require.NoError(t, bucket.Delete(t.Context(), bkt, team, id))
	}
	return old, made
}

// As long as nobody could look for what has taken its place, a block that is gone
// stays: who asks is told, and not given less than there is.
func TestALookThatFailsForgetsNothing(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	var fails error
	g := New(Deps{Bucket: bkt, Registerer: prometheus.NewRegistry(), Logger: discard(),
		Deletions: func(context.Context, string) (deletion.Rules, error) { return nil, fails }})
	old, made := replaced(t, bkt, g)
	fails = fault.New(fault.Unavailable, "the bucket is away")
	for range 2 { // the second is within the pause
		units, release := view(t, g, all())
		require.ElementsMatch(t, old, mustGet(units))
		_, err := units[0].Select(t.Context())
		require.True(t, fault.Is(err, fault.NotFound), "%v", err)
		release()
	}
	fails = nil
	require.Eventually(t, func() bool {
		units, release := view(t, g, all())
		defer release()
		_, err := units[0].Select(t.Context())
		return err == nil && len(units) == 1 && units[0].Origin().ID == made
	}, 30*time.Second, 50*time.Millisecond)
}

// slowMeta is a bucket that takes its time with the meta file of a block.
type slowMeta struct {
	objstore.Bucket
	name       string
	begun, end chan struct{}
}

func (b *slowMeta) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == b.name {
		close(b.begun)
		<-b.end
	}
	return b.Bucket.Get(ctx, name)
}

// Blocks that are gone are on the list until what has taken their place is.
func TestNoMomentIsWithoutEither(t *testing.T) {
	bkt := &slowMeta{Bucket: objstore.NewInMemBucket(), begun: make(chan struct{}), end: make(chan struct{})}
	g := newGateway(bkt)
	old, made := replaced(t, bkt.Bucket, g)
	bkt.name = object(made, block.MetaFile)
	done := make(chan error)
	go func() { done <- g.Sync(t.Context()) }()
	<-bkt.begun
	time.Sleep(50 * time.Millisecond) // in which they would be forgotten
	shows(t, g, old...)
	close(bkt.end)
	require.NoError(t, <-done)
	shows(t, g, made)
}
