package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/bucket/buckettest"
	"github.com/hearth-profiles/hearth/backend-server/internal/compactor"
	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/querier"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/storegateway"
)

// shelf is a bucket with the blocks of three databases that hold copies of the
// same profiles, but for a few that one has missed.
type shelf struct {
	bucket  objstore.Bucket
	twin    dbtest.Twin
	rules   compactor.Rules
	quick   bool
	ends    time.Time // when all ranges are over
	gen     *dbtest.Generator
	sources []*db.DB
	disks   []*vfs.Mem
}

// fill makes a shelf in bkt: profiles of some hours, in blocks of an hour.
func fill(t *testing.T, bkt objstore.Bucket, seed uint64, hours time.Duration, records int) *shelf {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	s := &shelf{gen: &dbtest.Generator{Rng: rng, Start: epoch, Length: (hours * time.Hour).Milliseconds(), Varied: true}, bucket: bkt, ends: time.UnixMilli(int64(epoch)).Add((hours + 48) * time.Hour)}
	s.twin.Deleted = func(ls labels.Labels, at profile.UnixMilli) bool {
		return append(s.rules.Stored, s.rules.Retention...).Deletes(ls, at)
	}
	for range 3 {
		disk := vfs.NewMem()
		d, err := db.Open(t.Context(), "data", db.Options{FS: disk, MaxBlockDuration: time.Hour})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		s.sources, s.disks = append(s.sources, d), append(s.disks, disk)
	}
	s.add(t, records)
	return s
}

// add has the databases take more profiles in and ships them.
func (s *shelf) add(t *testing.T, records int) {
	t.Helper()
	for range records {
		rec := s.gen.Record()
		if s.gen.Rng.IntN(4) == 0 {
			rec = s.gen.Counter()
		}
		misses := -1
		if s.gen.Rng.IntN(5) == 0 && len(rec.Profile.Types) < 3 { // what a running total grew by is known only to who saw all of it
			misses = s.gen.Rng.IntN(3)
		}
		for i, d := range s.sources {
			if i != misses {
				require.Nil(t, d.Append(t.Context(), []profile.Record{rec}))
			}
		}
		s.twin.Add(rec)
	}
	for i, d := range s.sources {
		require.NoError(t, d.Flush(t.Context()))
		for _, b := range d.Unshipped() {
			s.ship(t, s.disks[i], d, b)
		}
	}
}

func (s *shelf) ship(t *testing.T, disk vfs.FS, d *db.DB, b db.LocalBlock) {
	t.Helper()
	meta, err := b.Meta.Marshal()
	require.NoError(t, err)
	up := bucket.Block{Tenant: tenant.Anonymous, ID: b.ID, Meta: meta, Open: func(name string) (io.ReadCloser, error) { return disk.Open(filepath.Join(b.Dir, name)) }}
	for _, f := range b.Meta.Files {
		up.Files = append(up.Files, bucket.File(f))
	}
	require.NoError(t, bucket.Upload(t.Context(), s.bucket, up))
	require.NoError(t, d.MarkShipped(b.ID, time.Now()))
}

// compactor returns one that works on bkt.
func (s *shelf) compactor(t *testing.T, bkt objstore.Bucket, change ...func(*compactor.Config)) *compactor.Compactor {
	t.Helper()
	cfg := Default().Compactor
	cfg.After, cfg.DeletionDelay = 0, 0
	for _, fn := range change {
		fn(&cfg)
	}
	c, err := compactor.New(cfg, compactor.Deps{
		Bucket: bkt, Dir: t.TempDir(), Shipped: func(context.Context, string, ulid.ULID) {},
		Rules:      func(context.Context, string) (compactor.Rules, error) { return s.rules, nil },
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.ends },
	})
	require.NoError(t, err)
	return c
}

// gateway returns one that has just listed what there is.
func (s *shelf) gateway(t *testing.T) *storegateway.Gateway {
	t.Helper()
	g := storegateway.New(storegateway.Deps{
		Bucket: s.bucket, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Deletions: func(context.Context, string) (deletion.Rules, error) { return s.rules.Stored, nil },
		Retention: func(string) deletion.Rules { return s.rules.Retention },
	})
	require.NoError(t, g.Sync(t.Context()))
	return g
}

// compare asks a gateway for all there is, and holds it to the twin.
func (s *shelf) compare(t *testing.T, g *storegateway.Gateway, about string) {
	t.Helper()
	a := &App{}
	a.gateway = g
	q := querier.New(querier.NewAlone(querier.NewEngine(Default().Querier), a.inGateway).Without(a.deleted))
	types := dbtest.Types
	if s.quick {
		types = types[3:5]
	}
	for _, typ := range types {
		for _, r := range []profile.TimeRange{always(), {Start: epoch + 3_000_000, End: epoch + 20_000_000}} {
			sel := query.Selection{Type: typ, Range: r}
			answer, err := q.Ask(tenant.With(t.Context(), tenant.Anonymous), &question.Question{Kind: question.Tree, Selection: sel})
			require.NoError(t, err, "%s: %s", about, typ)
			require.Equal(t, s.twin.Tree(sel), dbtest.FlattenTree(answer.Tree), "%s: %s in %v", about, typ, r)
		}
	}
}

func always() profile.TimeRange {
	return profile.TimeRange{Start: epoch - 100_000_000, End: epoch + 100_000_000}
}

// blocks returns the meta files of the blocks in the bucket.
func (s *shelf) blocks(t *testing.T) (out []*block.Meta) {
	t.Helper()
	ids, err := bucket.Blocks(t.Context(), s.bucket, tenant.Anonymous)
	require.NoError(t, err)
	for _, id := range ids {
		raw, err := bucket.Meta(t.Context(), s.bucket, tenant.Anonymous, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		require.NoError(t, err)
		if m, err := block.ReadMeta(raw); err == nil { // not what a torn upload has left
			out = append(out, m)
		}
	}
	return out
}

// few is n, or less where every step takes long.
func few(n uint64) uint64 {
	if testing.Short() {
		return 1
	}
	return n
}

// Rounds of a compactor leave a block a day, with every profile once.
func TestCompactionKeepsEveryProfile(t *testing.T) {
	for seed := range few(4) {
		s := fill(t, objstore.NewInMemBucket(), seed, 14, 250)
		before := s.gateway(t)
		s.compare(t, before, "before")
		require.Greater(t, len(s.blocks(t)), 30)

		c := s.compactor(t, s.bucket, func(c *compactor.Config) { c.DeletionDelay = time.Hour })
		require.NoError(t, c.Round(t.Context()))
		s.compare(t, before, "by who has not heard of it")
		require.NoError(t, before.Sync(t.Context()))
		s.compare(t, before, "by who has heard of it")
		s.compare(t, s.gateway(t), "by who has just come")
		require.Greater(t, len(s.blocks(t)), 30, "the inputs stay for a while")

		s.ends = s.ends.Add(2 * time.Hour)
		require.NoError(t, c.Round(t.Context()))
		left := s.blocks(t)
		require.LessOrEqual(t, len(left), 2, "one a day")
		rows := int64(0)
		for _, m := range left {
			require.NotNil(t, m.Compaction)
			rows += m.Stats.Rows
		}
		require.NoError(t, before.Sync(t.Context()))
		s.compare(t, before, "when the inputs are gone")
		s.compare(t, s.gateway(t), "at the end")

		require.NoError(t, c.Round(t.Context()))
		require.Equal(t, left, s.blocks(t), "there is nothing left to do")
		require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
		require.Equal(t, left, s.blocks(t), "nor for another one")
	}
}

// A gateway that has heard of nothing finds out when it reads a block that is
// gone.
func TestBlocksGoneBehindAGatewaysBack(t *testing.T) {
	s := fill(t, objstore.NewInMemBucket(), 61, 14, 60)
	g := s.gateway(t)
	s.quick = true
	for range 2 {
		require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	}
	require.LessOrEqual(t, len(s.blocks(t)), 2)
	s.compare(t, g, "by who has heard of nothing")
}

// Small blocks at first, shards by service, and late profiles.
func TestCompactionInSteps(t *testing.T) {
	s := fill(t, objstore.NewInMemBucket(), 11, 14, 200)
	small := func(c *compactor.Config) { c.MaxBlockBytes = 10_000 }
	begin := time.UnixMilli(int64(epoch))
	end := s.ends
	for hours := 0; hours < 40; hours += 5 {
		s.ends = begin.Add(time.Duration(hours) * time.Hour)
		require.NoError(t, s.compactor(t, s.bucket, small).Round(t.Context()))
		s.compare(t, s.gateway(t), fmt.Sprintf("after %d hours", hours))
	}
	s.ends = end
	s.add(t, 20)
	s.compare(t, s.gateway(t), "late profiles")
	c := s.compactor(t, s.bucket, small)
	for range 3 {
		require.NoError(t, c.Round(t.Context()))
		s.compare(t, s.gateway(t), "late profiles merged")
		s.ends = s.ends.Add(8 * time.Hour)
	}
	sharded := 0
	for _, m := range s.blocks(t) {
		if m.Compaction.Shards > 1 {
			sharded++
		}
	}
	require.Positive(t, sharded)
}

// What is deleted is taken out, and nothing else is.
func TestCompactionTakesOutWhatIsDeleted(t *testing.T) {
	s := fill(t, objstore.NewInMemBucket(), 21, 14, 250)
	require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	s.compare(t, s.gateway(t), "before")
	s.rules.Stored = deletion.Rules{{
		ID: ulid.Make(), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, dbtest.Services[0])},
		Range: profile.TimeRange{Start: epoch + 5_000_000, End: epoch + 15_000_000},
	}}
	s.compare(t, s.gateway(t), "deleted")
	rows := func() (n int64) {
		for _, m := range s.blocks(t) {
			n += m.Stats.Rows
		}
		return n
	}
	had := rows()
	require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	require.Less(t, rows(), had)
	s.compare(t, s.gateway(t), "taken out")
	rewritten := s.blocks(t)
	require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	require.Equal(t, rewritten, s.blocks(t), "once is enough")

	s.rules.Retention = deletion.Rules{{ID: ulid.Make(), Range: profile.TimeRange{Start: deletion.BeginningOfTime, End: epoch + 40_000_000}}}
	s.compare(t, s.gateway(t), "too old in part")
	require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	s.compare(t, s.gateway(t), "too old in part, after a round")
	s.rules.Retention[0].Range.End = always().End
	require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	require.NoError(t, s.compactor(t, s.bucket).Round(t.Context()))
	require.Empty(t, s.blocks(t), "all of it is too old")
	s.compare(t, s.gateway(t), "too old")
}

// A compactor dies at any moment: nothing is lost, nothing is doubled, and the
// next one ends what it has begun.
func TestCompactorDiesAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("there is nothing to race")
	}
	full := objstore.NewInMemBucket()
	seen := fill(t, full, 31, 2, 40)
	rule := deletion.Rule{
		ID: ulid.Make(), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, dbtest.Services[1])},
		Range: profile.TimeRange{Start: epoch, End: epoch + 4_000_000},
	}
	buckettest.EveryCrash(t, func(t *testing.T, b *buckettest.Bucket) {
		for name, content := range full.Objects() {
			require.NoError(t, b.Bucket.Upload(t.Context(), name, reader(content)))
		}
		s := &shelf{bucket: b.Bucket, twin: seen.twin, quick: true, ends: seen.ends, rules: compactor.Rules{Stored: deletion.Rules{rule}}}
		s.twin.Deleted = func(ls labels.Labels, at profile.UnixMilli) bool { return s.rules.Stored.Deletes(ls, at) }
		shards := func(c *compactor.Config) { c.MaxBlockBytes = 20_000 }
		_ = s.compactor(t, b, shards).Round(t.Context()) // it may die
		s.compare(t, s.gateway(t), "after its death")
		b.Restart()
		for range 2 {
			require.NoError(t, s.compactor(t, b, shards).Round(t.Context()))
			s.compare(t, s.gateway(t), "after the next round")
		}
		days := map[int64]map[ulid.ULID]bool{}
		for _, m := range s.blocks(t) {
			require.NotNil(t, m.Compaction)
			day := int64(m.MinTime) / 86_400_000
			if days[day] == nil {
				days[day] = map[ulid.ULID]bool{}
			}
			days[day][m.Compaction.Job] = true
		}
		for day, jobs := range days {
			require.Len(t, jobs, 1, "day %d", day)
		}
	})
}

// A bucket that fails now and then, is slow to list, and to show what was
// written, costs rounds and nothing else.
func TestCompactionOverABadBucket(t *testing.T) {
	failures := 0
	for seed := range few(6) {
		truth := objstore.NewInMemBucket()
		s := fill(t, truth, 40+seed, 14, 60)
		lag := []buckettest.Lag{{}, {List: 30}, {Read: 3}, {List: 100, Read: 2}}[seed%4]
		bad := buckettest.New(truth, lag, buckettest.Sometimes(seed, 0.08), buckettest.Slowly(seed, time.Millisecond))
		for range 12 {
			if err := s.compactor(t, bad).Round(t.Context()); err != nil {
				failures++
			}
			s.compare(t, s.gateway(t), "over a bad bucket")
		}
		require.Positive(t, failures)
		bad.Use()
		for range 3 {
			require.NoError(t, s.compactor(t, bad).Round(t.Context()))
		}
		s.compare(t, s.gateway(t), "over a good one again")
		require.LessOrEqual(t, len(s.blocks(t)), 3)
	}
	require.Positive(t, failures)
}

// A block that is damaged keeps no other from being compacted, and stays.
func TestCompactionOfADamagedBlock(t *testing.T) {
	for what, damage := range map[string]func(s *shelf, name string) error{
		"a byte differs": func(s *shelf, name string) error {
			raw, err := bucket.Read(t.Context(), s.bucket, name)
			if err != nil {
				return err
			}
			raw[len(raw)/2] ^= 1
			return s.bucket.Upload(t.Context(), name, reader(raw))
		},
		"its data is gone": func(s *shelf, name string) error { return s.bucket.Delete(t.Context(), name) },
	} {
		t.Run(what, func(t *testing.T) { compactDamaged(t, damage) })
	}
}

func compactDamaged(t *testing.T, damage func(s *shelf, name string) error) {
	s := fill(t, objstore.NewInMemBucket(), 51, 14, 60)
	victim := s.blocks(t)[0]
	name := fmt.Sprintf("%s/blocks/%s/%s", tenant.Anonymous, victim.ID, block.DataFile)
	require.NoError(t, damage(s, name))
	c := s.compactor(t, s.bucket)
	require.ErrorContains(t, c.Round(t.Context()), victim.ID.String())
	require.NoError(t, c.Round(t.Context()))
	require.NoError(t, c.Round(t.Context()))
	left := s.blocks(t)
	require.LessOrEqual(t, len(left), 3)
	kept := false
	for _, m := range left {
		kept = kept || m.ID == victim.ID
	}
	require.True(t, kept)
}
