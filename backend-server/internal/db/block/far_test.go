package block_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
)

// tick is how long a read of a farSource takes. In a bubble nothing else takes
// time, so what a question takes is its reads in sequence.
const tick = time.Second

// farSource is a block in an object store, which counts what is read.
type farSource struct {
	data  memorySource
	again map[[2]int64]int // how often each range was read by ReadAgain

	mu    sync.Mutex
	reads int
	bytes int64
	held  int64
}

func (s *farSource) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	time.Sleep(tick)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	s.bytes += int64(len(p))
	return s.data.ReadAt(ctx, name, p, off)
}

func (s *farSource) ReadAgain(ctx context.Context, name string, p []byte, off int64) error {
	s.mu.Lock()
	s.again[[2]int64{off, int64(len(p))}]++
	s.mu.Unlock()
	return s.ReadAt(ctx, name, p, off)
}

func (s *farSource) Reserve(_ context.Context, n int64) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held += n
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held -= n
	}, nil
}

var _ block.Far = (*farSource)(nil)

// farBlocks are copies of one block, all far away.
func farBlocks(t *testing.T, dir string, n int) (units []query.Queryable, sources []*farSource) {
	t.Helper()
	data, meta := loaded(t, dir)
	for range n {
		s := &farSource{data: data, again: map[[2]int64]int{}}
		b, err := block.Open(context.Background(), meta, s)
		require.NoError(t, err)
		units, sources = append(units, b), append(sources, s)
	}
	return units, sources
}

func loaded(t *testing.T, dir string) (memorySource, *block.Meta) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, block.MetaFile))
	require.NoError(t, err)
	meta, err := block.ReadMeta(raw)
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, block.DataFile))
	require.NoError(t, err)
	return data, meta
}

var (
	goCPU  = profile.Type{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"}
	goHeap = profile.Type{Name: "memory", SampleType: "inuse_space", SampleUnit: "bytes", PeriodType: "space", PeriodUnit: "bytes"}
)

// fleet returns a head with the profiles that some services of some pods make
// in an hour: CPU and heap of a real program, of which each profile has two
// thirds of the samples with other values.
func fleet(t *testing.T, services, pods, each int) *head.Head {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	h := head.New(ulid.ULID{1}, memoryLog{})
	first := start - start%3_600_000
	id := uint64(0)
	for file, typ := range map[string]profile.Type{"go-cpu.pb.gz": goCPU, "go-heap.pb.gz": goHeap} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "profile", "pprof", "testdata", file))
		require.NoError(t, err)
		whole, err := new(pprof.Decoder).Decode(raw, pprof.Options{})
		require.NoError(t, err)
		for i := range services * pods * each {
			p := *whole
			p.Samples, p.Values = nil, nil
			for j := range whole.Samples {
				if k := rng.Int64N(6); k > 1 {
					p.Samples = append(p.Samples, whole.Samples[j])
					for _, v := range whole.Row(j) {
						p.Values = append(p.Values, v*k)
					}
				}
			}
			id++
			rec := profile.Record{
				ID: id, Time: first + profile.UnixMilli(int64(i%each)*3_600_000/int64(each)), Profile: &p, SampleEnd: len(p.Samples),
				Labels: labels.FromStrings(profile.LabelName, typ.Name, profile.LabelServiceName, fmt.Sprintf("service-%02d", i/each/pods),
					"pod", fmt.Sprint("pod-", i/each%pods), profile.LabelDelta, "false"),
			}
			require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
		}
	}
	return h
}

// farQuestion is something to be asked, about a range that may cut blocks.
type farQuestion struct {
	name   string
	within profile.TimeRange
	ask    func(ctx context.Context, qs []query.Queryable, sel query.Selection) (any, error)
}

func farQuestions(has profile.TimeRange) (out []farQuestion) {
	cut := profile.TimeRange{Start: has.Start + 7*60_000 + 1, End: has.End - 13*60_000 - 1}
	for name, r := range map[string]profile.TimeRange{"all": has, "cut": cut} {
		out = append(out, farQuestion{"tree/" + name, r, func(ctx context.Context, qs []query.Queryable, sel query.Selection) (any, error) {
			tree, err := query.Tree(ctx, qs, sel)
			if err != nil {
				return nil, err
			}
			return dbtest.FlattenTree(tree), nil
		}}, farQuestion{"profile/" + name, r, func(ctx context.Context, qs []query.Queryable, sel query.Selection) (any, error) {
			p, err := query.Profile(ctx, qs, sel)
			if err != nil {
				return nil, err
			}
			return dbtest.FlattenProfile(p), nil
		}}, farQuestion{"series/" + name, r, func(ctx context.Context, qs []query.Queryable, sel query.Selection) (any, error) {
			return query.TimeSeries(ctx, qs, query.SeriesSelection{Selection: sel, GroupBy: []string{"pod"},
				Grid: series.Grid{Start: sel.Range.Start, End: sel.Range.End, StepMillis: 15_000}})
		}})
	}
	return out
}

// What is asked of blocks far away takes few reads in sequence, however many
// blocks and row groups there are, and little of what the blocks hold.
func TestFarBlocks(t *testing.T) {
	dir := store(t, fleet(t, 20, 2, 240), block.Options{})
	near := open(t, dir)
	oneService := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, "service-07")}
	onePod := append(oneService[:1:1], labels.MustNewMatcher(labels.MatchEqual, "pod", "pod-1"))
	for _, blocks := range []int{1, 30} {
		for _, q := range farQuestions(near.TimeRange()) {
			for name, ms := range map[string][]*labels.Matcher{"service": oneService, "pod": onePod, "everything": nil} {
				if name == "everything" && blocks > 1 {
					continue // as deep, and slow
				}
				t.Run(fmt.Sprintf("%s/%s/%d", q.name, name, blocks), func(t *testing.T) {
					sel := query.Selection{Type: goCPU, Range: q.within, Matchers: ms}
					want, err := q.ask(t.Context(), []query.Queryable{near}, sel)
					require.NoError(t, err)
					units, sources := farBlocks(t, dir, blocks)
					synctest.Test(t, func(t *testing.T) {
						began := time.Now()
						got, err := q.ask(t.Context(), units, sel)
						require.NoError(t, err)
						deep := int(time.Since(began) / tick)
						reads, bytes := 0, int64(0)
						for _, s := range sources {
							require.Zero(t, s.held)
							reads += s.reads
							bytes += s.bytes
						}
						part := float64(bytes) / float64(int64(blocks)*near.Meta().Size())
						t.Logf("%d deep, %d reads a block, %.1f %% of %d bytes", deep, reads/blocks, 100*part, near.Meta().Size())
						require.LessOrEqual(t, deep, 3) // and one more for comparing replicas
						if blocks == 1 {
							require.Equal(t, want, got)
						}
						switch {
						case name == "everything":
						case name == "service" && q.within == near.TimeRange():
							require.LessOrEqual(t, part, 0.05)
						default: // rows, which come by the page
							require.LessOrEqual(t, part, 0.10)
						}
						for _, s := range sources {
							for what, n := range s.again {
								require.Equal(t, 1, n, "%v", what)
							}
						}
					})
				})
			}
		}
	}
}

// What is read again after all has been forgotten comes in the same pieces, so
// that it can be kept nearby.
func TestReadAgainComesInTheSamePieces(t *testing.T) {
	dir := store(t, fleet(t, 4, 2, 240), block.Options{})
	for _, q := range farQuestions(open(t, dir).TimeRange()) {
		units, sources := farBlocks(t, dir, 1)
		synctest.Test(t, func(t *testing.T) {
			sel := query.Selection{Type: goHeap, Range: q.within}
			for range 3 {
				_, err := q.ask(t.Context(), units, sel)
				require.NoError(t, err)
				units[0].(*block.Block).Forget()
			}
			for what, n := range sources[0].again {
				require.Equal(t, 3, n, "%v", what)
			}
		})
	}
}

// A scan holds no more than it may, but for a row group, and goes on.
func TestReadAhead(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a large block")
	}
	const records, samples = 220, 10_000
	names := make([]string, samples)
	for i := range names {
		names[i] = fmt.Sprint("fn", i)
	}
	whole := flat(names)
	rng := rand.New(rand.NewPCG(1, 1))
	recs := make([]profile.Record, records)
	for r := range recs {
		p := whole
		p.Values = make([]int64, samples)
		for i := range p.Values {
			p.Values[i] = 1<<61 + rng.Int64N(1<<61)
		}
		recs[r] = record(r+1, "service", &p)
	}
	near, dir := written(t, recs)
	units, sources := farBlocks(t, dir, 1)
	req := query.ScanRequest{Rows: []uint32{0}, Range: always}
	var want []query.Row
	require.NoError(t, near.Scan(t.Context(), req, func(r *query.Row) error { want = append(want, copied(r)); return nil }))
	synctest.Test(t, func(t *testing.T) {
		i, most := 0, int64(0)
		require.NoError(t, units[0].Scan(t.Context(), req, func(r *query.Row) error {
			require.Equal(t, want[i], copied(r))
			i++
			most = max(most, sources[0].held)
			return nil
		}))
		require.Equal(t, records, i)
		require.Zero(t, sources[0].held)
		require.Less(t, most, int64(17<<20))
		require.Greater(t, near.Meta().Size(), int64(17<<20))
	})
}

// Any part of the rows is the same from far away, where what is known of it
// before differs.
func TestFarPartsOfRows(t *testing.T) {
	dir := store(t, steady(t, 3, 3000, 36), block.Options{})
	near := open(t, dir)
	rng := rand.New(rand.NewPCG(2, 3))
	rows := allRows(t, near)
	units, _ := farBlocks(t, dir, 1)
	for range 60 {
		p := uint32(rng.IntN(len(rows)))
		from := near.TimeRange().Start + profile.UnixMilli(rng.IntN(3*3_600_000))
		req := query.ScanRequest{Partition: p, Rows: rows[p][rng.IntN(3):], TotalsOnly: rng.IntN(4) == 0}
		req.Range = profile.TimeRange{Start: from, End: from + profile.UnixMilli(rng.IntN(1<<rng.IntN(24)))}
		var want, got []query.Row
		require.NoError(t, near.Scan(t.Context(), req, func(r *query.Row) error { want = append(want, copied(r)); return nil }))
		synctest.Test(t, func(t *testing.T) {
			require.NoError(t, units[0].Scan(t.Context(), req, func(r *query.Row) error { got = append(got, copied(r)); return nil }))
		})
		require.Equal(t, want, got)
		if rng.IntN(2) == 0 {
			units[0].(*block.Block).Forget()
		}
	}
}

// nearby is a block in memory that is read as what is far away.
type nearby struct{ memorySource }

func (n nearby) ReadAgain(ctx context.Context, name string, p []byte, off int64) error {
	return n.ReadAt(ctx, name, p, off)
}

func (nearby) Reserve(context.Context, int64) (func(), error) { return func() {}, nil }

// Damage is found from far away too.
func TestFarDamage(t *testing.T) {
	data, meta := summedBlock(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		broken := append(memorySource(nil), data...)
		broken[rng.IntN(len(broken))] ^= byte(1 + rng.IntN(255))
		b, err := block.Open(t.Context(), meta, nearby{broken})
		require.NoError(t, err)
		requireCorrupt(t, readAll(b))
	}
	b, err := block.Open(t.Context(), meta, nearby{data[:len(data)-1]})
	require.NoError(t, err)
	requireCorrupt(t, readAll(b))
}
