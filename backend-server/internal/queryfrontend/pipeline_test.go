package queryfrontend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// taken is one profile of one frame.
type taken struct {
	at    profile.UnixMilli
	id    uint64
	frame string
	value int64
}

// data answers questions over a list of profiles, as a querier would.
type data struct {
	mu      sync.Mutex
	list    map[string][]taken // by tenant
	asked   int
	running int
	most    int
	hold    time.Duration
	fail    func(n int) error // by number of the question
}

func (d *data) begin() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	d.running++
	d.most = max(d.most, d.running)
	if d.fail != nil {
		return d.asked, d.fail(d.asked)
	}
	return d.asked, nil
}

// Ask implements question.Asker.
func (d *data) Ask(ctx context.Context, q *question.Question) (*question.Answer, error) {
	_, err := d.begin()
	defer func() { d.mu.Lock(); d.running--; d.mu.Unlock() }()
	if d.hold > 0 {
		time.Sleep(d.hold)
	}
	if err != nil {
		return nil, err
	}
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	a := &question.Answer{}
	if q.WantVersion {
		a.Version = question.Version{Lo: 1}
	}
	t, b := tree.New(), series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation())
	p := &profile.Profile{Strings: []string{""}, Mappings: []profile.Mapping{{}}, LabelSets: [][]profile.LabelPair{nil}, Types: make([]profile.ValueType, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.list[id] {
		if !q.Interval().Contains(one.at) {
			continue
		}
		if q.WantVersion {
			a.Version.Hi += one.id * 0x9e3779b97f4a7c15
		}
		t.Add(t.Child(tree.Root, t.Name(one.frame)), one.value)
		b.Add(labels.FromStrings("frame", one.frame), one.at, one.value)
		n := uint32(len(p.Frames))
		p.Strings = append(p.Strings, one.frame)
		p.Functions = append(p.Functions, profile.Function{Name: n + 1})
		p.Lines = append(p.Lines, profile.Line{Function: n})
		p.Locations = append(p.Locations, profile.Location{LineStart: n, LineEnd: n + 1})
		p.Frames = append(p.Frames, n)
		p.Samples = append(p.Samples, profile.Sample{FrameStart: n, FrameEnd: n + 1})
		p.Values = append(p.Values, one.value)
	}
	if q.WantVersion && q.Known == a.Version {
		return &question.Answer{Version: a.Version, Unchanged: true}, nil
	}
	a.Tree, a.Series, a.Profile = t, b, p
	return a, nil
}

const hour = profile.UnixMilli(3600_000)

func newPipeline(change func(*Config)) (*Frontend, *data) {
	cfg := defaults()
	cfg.SplitInterval = time.Hour
	cfg.CacheBytes = 1 << 20
	if change != nil {
		change(&cfg)
	}
	d := &data{list: map[string][]taken{}}
	return New(cfg, d, prometheus.NewRegistry(), func() time.Time { return time.UnixMilli(int64(now)) }), d
}

func someone(ctx context.Context) context.Context { return tenant.With(ctx, "a") }

// everything is the answers to all questions about samples, as text.
func everything(t *testing.T, f *Frontend, req request.Profile) string {
	t.Helper()
	ctx := someone(t.Context())
	top, err := f.Functions(ctx, request.Functions{Profile: req, Limit: 1000})
	require.NoError(t, err)
	graph, err := f.Tree(ctx, req)
	require.NoError(t, err)
	list, err := f.Series(ctx, request.Series{Profile: req, GroupBy: []string{"frame"}, StepSeconds: 100, Average: true})
	require.NoError(t, err)
	p, err := f.Profile(ctx, req)
	require.NoError(t, err)
	samples := map[string]int64{}
	for i, s := range p.Samples {
		l := p.Locations[p.Frames[s.FrameStart]]
		samples[p.Strings[p.Functions[p.Lines[l.LineStart].Function].Name]] += p.Values[i]
	}
	return fmt.Sprint(*top, graph.Total(), graph.Functions(), list, samples, p.Types)
}

// TestAnswersAreThoseOfTheData: whatever is split and kept, and whatever comes
// and goes in the meantime, answers are those of a frontend that does neither.
func TestAnswersAreThoseOfTheData(t *testing.T) {
	f, d := newPipeline(nil)
	naive, _ := newPipeline(func(c *Config) { c.SplitInterval, c.CacheBytes = 0, 0 })
	naive.asker = d
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 300 {
		d.list["a"] = append(d.list["a"], taken{now - 6*hour + profile.UnixMilli(r.Int64N(int64(6*hour))), uint64(i + 1), fmt.Sprint("f", r.IntN(5)), 1 + r.Int64N(100)})
		d.list["b"] = append(d.list["b"], taken{now - 3*hour, uint64(i + 1), "not ours", 1})
	}
	req := ask(nil).Profile
	for i := range 40 {
		req.Start, req.End = now-profile.UnixMilli(r.Int64N(int64(6*hour))), now
		if i%2 == 0 {
			req.Start = now - 5*hour
		}
		switch at := r.IntN(len(d.list["a"])); r.IntN(4) {
		case 0: // a late profile
			d.list["a"] = append(d.list["a"], taken{req.Start + profile.UnixMilli(r.Int64N(int64(hour))), uint64(1000 + i), "late", 7})
		case 1: // a deletion
			d.list["a"] = slices.Delete(d.list["a"], at, at+1)
		}
		require.Equal(t, everything(t, naive, req), everything(t, f, req))
	}
	for _, outcome := range []string{cacheMiss, cacheUnchanged, cacheChanged} {
		require.Positive(t, testutil.ToFloat64(f.metrics.cache.WithLabelValues(outcome)), outcome)
	}
	require.Zero(t, testutil.ToFloat64(naive.metrics.parts))
	require.Positive(t, testutil.ToFloat64(f.metrics.parts))
}

func TestWhatIsKept(t *testing.T) {
	f, d := newPipeline(nil)
	d.list["a"] = []taken{{now - 2*hour, 1, "f", 5}}
	outcomes := func() (out []float64) {
		for _, outcome := range []string{cacheMiss, cacheUnchanged, cacheChanged} {
			out = append(out, testutil.ToFloat64(f.metrics.cache.WithLabelValues(outcome)))
		}
		return out
	}
	req := ask(nil).Profile
	req.Start = now - 3*hour
	total := func() int64 {
		got, err := f.Tree(someone(t.Context()), req)
		require.NoError(t, err)
		return got.Total()
	}
	require.EqualValues(t, 5, total())
	parts := testutil.ToFloat64(f.metrics.parts)
	require.Equal(t, []float64{parts - 1, 0, 0}, outcomes(), "the last part is not over yet")
	require.EqualValues(t, 5, total())
	require.Equal(t, []float64{parts - 1, parts - 1, 0}, outcomes())
	d.list["a"] = append(d.list["a"], taken{now - 2*hour, 2, "late", 6})
	require.EqualValues(t, 11, total(), "a late profile is seen at once")
	require.Equal(t, []float64{parts - 1, 2*parts - 3, 1}, outcomes())
	d.list["a"] = d.list["a"][:1]
	require.EqualValues(t, 5, total(), "so is a deletion")
	d.list["a"] = nil
	require.EqualValues(t, 0, total())
	require.EqualValues(t, 0, total())

	// Listings, and other tenants' questions, are none of the cache's business.
	before := outcomes()
	_, err := f.LabelNames(someone(t.Context()), request.Labels{Start: 1, End: 2})
	require.NoError(t, err)
	require.Equal(t, before, outcomes())
	d.list["b"] = []taken{{now - 2*hour, 1, "b", 9}}
	got, err := f.Tree(tenant.With(t.Context(), "b"), req)
	require.NoError(t, err)
	require.EqualValues(t, 9, got.Total())
	_, err = f.Tree(t.Context(), req)
	require.True(t, fault.Is(err, fault.Unauthenticated))
}

func TestCacheIsBounded(t *testing.T) {
	f, d := newPipeline(func(c *Config) { c.CacheBytes = 10_000 })
	for i := range 1000 {
		d.list["a"] = append(d.list["a"], taken{now - 50*hour + profile.UnixMilli(i)*hour/20, uint64(i), fmt.Sprint("some function ", i), 1})
	}
	req := ask(nil).Profile
	req.Start = now - 50*hour
	for range 3 {
		everything(t, f, req)
		size := int64(0)
		for e := f.cache.mu.used.Front(); e != nil; e = e.Next() {
			size += e.Value.(*entry).bytes
		}
		require.Equal(t, size, f.cache.mu.bytes)
		require.LessOrEqual(t, size, int64(10_000))
		require.Greater(t, size, int64(5000))
		require.EqualValues(t, size, testutil.ToFloat64(f.metrics.cacheBytes))
		require.Len(t, f.cache.mu.entries, f.cache.mu.used.Len())
	}
	small, _ := newPipeline(func(c *Config) { c.CacheBytes = 1 })
	small.asker = d
	everything(t, small, req)
	require.Zero(t, small.cache.mu.bytes)
}

// TestKeptAnswersAreShared: by many at once.
func TestKeptAnswersAreShared(t *testing.T) {
	f, d := newPipeline(nil)
	for i := range 2000 {
		d.list["a"] = append(d.list["a"], taken{now - 3*hour + profile.UnixMilli(i)*1000, uint64(i), fmt.Sprint("f", i%7), 1})
	}
	req := ask(nil).Profile
	req.Start, req.End = now-3*hour, now-hour
	want := everything(t, f, req)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { require.Equal(t, want, everything(t, f, req)) })
	}
	all.Wait()
}

func TestPartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := newPipeline(func(c *Config) { c.MaxParallelism = 3; c.CacheBytes = 0 })
		d.hold = time.Second
		req := ask(nil).Profile
		req.Start, req.End = now-now%hour-12*hour, now-now%hour-1
		begin := time.Now()
		_, err := f.Tree(someone(t.Context()), req)
		require.NoError(t, err)
		require.Equal(t, 12, d.asked)
		require.Equal(t, 3, d.most)
		require.Equal(t, 4*time.Second, time.Since(begin))

		d.fail = func(int) error { return fault.New(fault.TooLarge, "too much") }
		d.asked = 0
		_, err = f.Tree(someone(t.Context()), req)
		require.True(t, fault.Is(err, fault.TooLarge))
		require.LessOrEqual(t, d.asked, 6, "the rest is not asked for any more")
	})
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := newPipeline(nil)
		unavailable := fault.New(fault.Unavailable, "starting")
		for name, c := range map[string]struct {
			fail  func(int) error
			asked int
			ok    bool
		}{
			"twice":    {func(n int) error { return map[bool]error{true: unavailable}[n <= 2] }, 3, true},
			"always":   {func(int) error { return unavailable }, 3, false},
			"too much": {func(int) error { return fault.New(fault.Exhausted, "slowly") }, 1, false},
			"poison":   {func(int) error { return fault.Reason(fault.Unavailable, question.ReasonQueriersGone, "gone") }, 1, false},
		} {
			d.asked, d.fail = 0, c.fail
			_, err := f.LabelNames(someone(t.Context()), request.Labels{})
			require.Equal(t, c.ok, err == nil, name)
			require.Equal(t, c.asked, d.asked, name)
		}
		require.EqualValues(t, 4, testutil.ToFloat64(f.metrics.retries))
		ctx, cancel := context.WithTimeout(someone(t.Context()), time.Millisecond)
		defer cancel()
		d.asked, d.fail = 0, func(int) error { return unavailable }
		_, err := f.LabelNames(ctx, request.Labels{})
		require.ErrorIs(t, err, unavailable)
		require.Equal(t, 1, d.asked)
	})
}

// queue takes so many questions at a time and refuses what comes on top.
type queue struct {
	question.Asker
	room, running, refused atomic.Int64
}

// Ask implements question.Asker.
func (q *queue) Ask(ctx context.Context, what *question.Question) (*question.Answer, error) {
	defer q.running.Add(-1)
	if q.running.Add(1) > q.room.Load() {
		q.refused.Add(1)
		return nil, &upload.RetryError{After: time.Second, Err: fault.Reason(fault.Exhausted, question.ReasonTooMany, "full")}
	}
	return q.Asker.Ask(ctx, what)
}

// TestPartsWaitForTheirTurn: a question is refused if the queue is full of
// others when it comes, but not because of parts (F5).
func TestPartsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := newPipeline(func(c *Config) { c.MaxParallelism = 16 })
		d.hold = time.Second
		q := &queue{Asker: d}
		f.asker = q
		req := ask(nil).Profile
		req.Start = now - 48*hour
		series := func() error {
			_, err := f.Series(someone(t.Context()), request.Series{Profile: req, StepSeconds: 60})
			return err
		}
		many := func(n int) {
			var all sync.WaitGroup
			for range n {
				all.Go(func() { require.NoError(t, series()) })
			}
			all.Wait()
		}
		q.room.Store(100)
		many(50) // questions of 48 parts
		require.Zero(t, q.refused.Load())

		q.room.Store(10) // others have the rest
		many(1)
		require.Positive(t, q.refused.Load())

		q.room.Store(0)
		q.refused.Store(0)
		require.True(t, fault.Is(series(), fault.Exhausted))
		require.LessOrEqual(t, q.refused.Load(), int64(16))
		require.Empty(t, f.crowd.tenants)
	})
}
