package queryfrontend

import (
	"context"
	"errors"
	"flag"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

const cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

// fake notes what it was asked.
type fake struct {
	mu      sync.Mutex // the sides of a difference are asked for at once
	asked   int
	sel     query.Selection
	series  query.SeriesSelection
	sets    [][]*labels.Matcher
	r       profile.TimeRange
	answers map[string][]string // by the first matcher, "" without
	err     error
}

// Ask implements question.Asker.
func (f *fake) Ask(ctx context.Context, q *question.Question) (a *question.Answer, err error) {
	a = new(question.Answer)
	switch q.Kind {
	case question.Tree:
		a.Tree, err = f.Tree(ctx, q.Selection)
	case question.Profile:
		a.Profile, err = f.Profile(ctx, q.Selection)
	case question.Series:
		f.asked++
		f.series = q.SeriesSelection()
		a.Series, err = series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation()), f.err
	case question.LabelNames, question.LabelValues:
		for _, matchers := range q.Matchers {
			texts, failed := f.LabelNames(ctx, matchers, q.Range)
			part := &question.Answer{Texts: texts}
			if a, err = question.Merge(q, []*question.Answer{a, part}); failed != nil {
				err = failed
			}
		}
	case question.LabelSets:
		a.Sets, err = f.LabelSets(ctx, q.Matchers, q.Names, q.Range)
	case question.Types:
		a.Types, err = f.Types(ctx, q.Range)
	case question.Stats:
		a.Stats, err = f.DataStats(ctx)
	case question.Analyze:
		a.Impact, err = f.Analyze(ctx, q.Matchers[0], q.Range)
	}
	return a, err
}

func (f *fake) Tree(_ context.Context, sel query.Selection) (*tree.Tree, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	f.sel = sel
	t := tree.New()
	for i, name := range []string{"a", "b", "c", "d"} {
		t.Add(t.Child(tree.Root, t.Name(name)), int64(i+1))
	}
	return t, f.err
}

func (f *fake) Profile(_ context.Context, sel query.Selection) (*profile.Profile, error) {
	f.asked++
	f.sel = sel
	return &profile.Profile{Period: 77, Samples: []profile.Sample{{}, {}}, Types: make([]profile.ValueType, 1), Values: []int64{1, 2}}, f.err
}

func (f *fake) LabelNames(_ context.Context, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
	f.asked++
	f.r = r
	key := ""
	if len(matchers) > 0 {
		key = matchers[0].String()
	}
	return f.answers[key], f.err
}

func (f *fake) LabelSets(_ context.Context, matchers [][]*labels.Matcher, _ []string, r profile.TimeRange) ([]labels.Labels, error) {
	f.asked++
	f.sets, f.r = matchers, r
	return nil, f.err
}

func (f *fake) Types(_ context.Context, r profile.TimeRange) ([]profile.Type, error) {
	f.asked++
	f.r = r
	return nil, f.err
}

func (f *fake) DataStats(context.Context) (query.Stats, error) { return query.Stats{}, f.err }

func (f *fake) Analyze(_ context.Context, matchers []*labels.Matcher, r profile.TimeRange) (query.Impact, error) {
	f.sets, f.r = [][]*labels.Matcher{matchers}, r
	return query.Impact{}, f.err
}

const now = profile.UnixMilli(1_700_000_000_000)

func defaults() Config {
	var c Config
	c.RegisterFlags(flag.NewFlagSet("", flag.PanicOnError))
	return c
}

func newFrontend(change func(*Config)) (*Frontend, *fake) {
	cfg := defaults()
	if change != nil {
		change(&cfg)
	}
	q := &fake{answers: map[string][]string{}}
	return New(cfg, q, prometheus.NewRegistry(), func() time.Time { return time.UnixMilli(int64(now)) }), q
}

func ask(change func(*request.Series)) request.Series {
	r := request.Series{Profile: request.Profile{Type: cpu, Selector: `{a="1"}`, Start: now - 1000, End: now}, StepSeconds: 0.1}
	if change != nil {
		change(&r)
	}
	return r
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*request.Series)
		want   string
		reason string
	}{
		{"no type", func(r *request.Series) { r.Type = "" }, "profile type", "invalid"},
		{"short type", func(r *request.Series) { r.Type = "cpu" }, `"cpu"`, "invalid"},
		{"selector", func(r *request.Series) { r.Selector = "{a=" }, `"{a="`, "invalid"},
		{"no start", func(r *request.Series) { r.Start = 0 }, "start is 0", "missing_time_range"},
		{"no end", func(r *request.Series) { r.End = 0 }, "end is 0", "missing_time_range"},
		{"negative", func(r *request.Series) { r.Start = -5 }, "start is -5", "invalid_time_range"},
		{"backwards", func(r *request.Series) { r.Start = now + 1 }, "start 1700000000001 is after end", "invalid_time_range"},
		{"length", func(r *request.Series) { r.Start = now - 2*3600_000 }, "2h0m0s long; limit 1h0m0s", "query_limit"},
		{"span", func(r *request.Series) { r.Spans = []string{"zz"} }, `span_selector has "zz"`, "invalid"},
		{"short span", func(r *request.Series) { r.Spans = []string{"00ff"} }, `span_selector has "00ff"`, "invalid"},
		{"profile", func(r *request.Series) { r.Profiles = []string{"1-2"} }, `profile_id_selector has "1-2"`, "invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, q := newFrontend(func(cfg *Config) { cfg.MaxLength = time.Hour })
			req := ask(c.change)
			_, treeErr := f.Tree(t.Context(), req.Profile)
			_, profileErr := f.Profile(t.Context(), req.Profile)
			_, seriesErr := f.Series(t.Context(), req)
			_, functionsErr := f.Functions(t.Context(), request.Functions{Profile: req.Profile})
			_, diffErr := f.Diff(t.Context(), ask(nil).Profile, req.Profile)
			for _, err := range []error{treeErr, profileErr, seriesErr, functionsErr, diffErr} {
				require.True(t, fault.Is(err, fault.Invalid), "%v", err)
				require.ErrorContains(t, err, c.want)
				require.Equal(t, c.reason, fault.ReasonOf(err))
			}
			require.ErrorContains(t, diffErr, "right: ")
			require.Zero(t, q.asked, "refused before anything is read")
			require.EqualValues(t, 1, testutil.ToFloat64(f.metrics.failures.WithLabelValues("tree", c.reason)))
		})
	}
}

func TestStep(t *testing.T) {
	for step, want := range map[float64]string{
		0: "at least 0.001", -1: "at least 0.001", 0.0001: "at least 0.001", math.NaN(): "at least 0.001",
		math.Inf(1): "at least 0.001", 1e30: "at least 0.001", 0.001: "", 1e9: "", 15: "",
	} {
		f, _ := newFrontend(nil)
		_, err := f.Series(t.Context(), ask(func(r *request.Series) { r.StepSeconds = step }))
		if want == "" {
			require.NoError(t, err, "step %g", step)
		} else {
			require.ErrorContains(t, err, want, "step %g", step)
		}
	}
	f, _ := newFrontend(nil)
	_, err := f.Series(t.Context(), ask(func(r *request.Series) { r.StepSeconds, r.Start = 0.001, now-3600_000 }))
	require.ErrorContains(t, err, "3600001 points")
	_, err = f.Series(t.Context(), ask(func(r *request.Series) { r.Limit = -1 }))
	require.ErrorContains(t, err, "limit is -1")
}

func TestGridOfSeries(t *testing.T) {
	f, q := newFrontend(nil)
	_, err := f.Series(t.Context(), ask(func(r *request.Series) { r.StepSeconds, r.Limit, r.GroupBy, r.Average = 0.3, 5, []string{"x"}, true }))
	require.NoError(t, err)
	require.Equal(t, series.Grid{Start: now - 1000, End: now, StepMillis: 300}, q.series.Grid)
	require.Equal(t, profile.TimeRange{Start: now - 1299, End: now}, q.series.Range)
	require.Equal(t, []string{"x"}, q.series.GroupBy)
	require.True(t, q.series.Average)
	require.Equal(t, cpu, q.series.Type.String())
}

func TestNodes(t *testing.T) {
	f, _ := newFrontend(func(c *Config) { c.DefaultNodes, c.MaxNodes = 2, 3 })
	for _, c := range []struct {
		nodes int64
		len   int // with root and remainder
		err   string
	}{{0, 4, ""}, {1, 3, ""}, {3, 5, ""}, {4, 0, "max_nodes is 4; limit 3"}, {-1, 0, "max_nodes is -1"}} {
		req := ask(nil).Profile
		req.MaxNodes = c.nodes
		got, err := f.Tree(t.Context(), req)
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			require.Equal(t, "flamegraph_limit", fault.ReasonOf(err))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.len, got.Len(), "%d nodes", c.nodes)
		require.EqualValues(t, 10, got.Total())
	}
}

func TestLookback(t *testing.T) {
	f, q := newFrontend(func(c *Config) { c.MaxLookback = time.Second })
	req := ask(func(r *request.Series) { r.Start, r.StepSeconds = now-10_250, 0.5 })
	_, err := f.Tree(t.Context(), req.Profile)
	require.NoError(t, err)
	require.Equal(t, profile.TimeRange{Start: now - 1000, End: now}, q.sel.Range)
	_, err = f.Series(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, series.Grid{Start: now - 750, End: now, StepMillis: 500}, q.series.Grid, "whole steps")

	before := q.asked
	req = ask(func(r *request.Series) { r.Start, r.End = now-10_000, now-5000 })
	got, err := f.Tree(t.Context(), req.Profile)
	require.NoError(t, err)
	require.Zero(t, got.Total())
	merged, err := f.Profile(t.Context(), req.Profile)
	require.NoError(t, err)
	require.Empty(t, merged.Samples)
	require.Equal(t, "cpu", merged.Types[0].Type)
	_, err = f.Series(t.Context(), req)
	require.NoError(t, err)
	_, err = f.LabelNames(t.Context(), request.Labels{Start: 1, End: 2})
	require.NoError(t, err)
	require.Equal(t, before, q.asked, "nothing to ask")
}

func TestSelection(t *testing.T) {
	f, q := newFrontend(nil)
	req := ask(nil).Profile
	req.Spans = []string{"00000000000000ff", "FF00000000000000"}
	req.Profiles = []string{"00000000-0000-0000-0000-00000000000a", "000000000000000b"}
	req.CallSite = []string{"main"}
	_, err := f.Tree(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, []uint64{255, 255 << 56}, q.sel.Spans)
	require.Equal(t, []uint64{10, 11}, q.sel.ProfileIDs)
	require.Equal(t, []string{"main"}, q.sel.CallSite)
	require.Equal(t, `a="1"`, q.sel.Matchers[0].String())
	req.Traces = []string{"x"}
	_, err = f.Tree(t.Context(), req)
	require.True(t, fault.Is(err, fault.Unimplemented))
}

func TestProfileDescribesItself(t *testing.T) {
	for id, want := range map[string]int64{cpu: 1e9, "memory:alloc_space:bytes:space:bytes": 512 << 10, "goroutine:goroutine:count:goroutine:count": 1} {
		f, _ := newFrontend(nil)
		req := ask(nil).Profile
		req.Type = id
		p, err := f.Profile(t.Context(), req)
		require.NoError(t, err)
		typ, _ := profile.ParseType(id)
		require.Equal(t, []profile.ValueType{{Type: typ.SampleType, Unit: typ.SampleUnit}}, p.Types)
		require.Equal(t, profile.ValueType{Type: typ.PeriodType, Unit: typ.PeriodUnit}, p.PeriodType)
		require.Equal(t, want, p.Period)
		require.EqualValues(t, time.Second, p.DurationNanos)
		require.Len(t, p.Samples, 2)
	}
	f, q := newFrontend(nil)
	req := ask(nil).Profile
	req.PGO, req.CallSite = &request.PGO{}, []string{"ignored"}
	p, err := f.Profile(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, []int64{3}, p.Values, "equal stacks are one")
	require.Nil(t, q.sel.CallSite)
}

func TestDiff(t *testing.T) {
	f, q := newFrontend(nil)
	d, err := f.Diff(t.Context(), ask(nil).Profile, ask(nil).Profile)
	require.NoError(t, err)
	require.EqualValues(t, 20, d.Total)
	q.err = fault.New(fault.Unavailable, "starting")
	_, err = f.Diff(t.Context(), ask(nil).Profile, ask(nil).Profile)
	require.True(t, fault.Is(err, fault.Unavailable))
}

func TestLabels(t *testing.T) {
	f, q := newFrontend(nil)
	q.answers[""] = []string{"all"}
	q.answers[`a="1"`] = []string{"p", "q"}
	q.answers[`b="2"`] = []string{"q", "r"}
	got, err := f.LabelNames(t.Context(), request.Labels{})
	require.NoError(t, err)
	require.Equal(t, []string{"all"}, got)
	require.Equal(t, profile.TimeRange{Start: 0, End: endOfTime}, q.r, "no range is all time")
	got, err = f.LabelValues(t.Context(), "x", request.Labels{Matchers: []string{`{a="1"}`, `{b="2"}`}, Start: 5, End: math.MaxInt64})
	require.NoError(t, err)
	require.Equal(t, []string{"p", "q", "r"}, got)
	require.Equal(t, profile.TimeRange{Start: 5, End: endOfTime}, q.r)

	_, err = f.LabelValues(t.Context(), "", request.Labels{})
	require.ErrorContains(t, err, "name of the label is missing")
	_, err = f.LabelNames(t.Context(), request.Labels{Matchers: []string{"{a="}})
	require.True(t, fault.Is(err, fault.Invalid))
	_, err = f.LabelNames(t.Context(), request.Labels{Start: 5})
	require.ErrorContains(t, err, "start 5 is after end 0")
	_, err = f.LabelSets(t.Context(), nil, request.Labels{Matchers: []string{"", "{a="}})
	require.True(t, fault.Is(err, fault.Invalid))
	_, err = f.LabelSets(t.Context(), nil, request.Labels{})
	require.NoError(t, err)
	require.Equal(t, [][]*labels.Matcher{nil}, q.sets)
	_, err = f.ProfileTypes(t.Context(), request.Labels{Start: 1000, End: 4000})
	require.NoError(t, err)
}

func TestAnalyze(t *testing.T) {
	for text, want := range map[string][]string{
		"":                   nil,
		"{}":                 nil,
		cpu:                  {`__profile_type__="` + cpu + `"`},
		cpu + `{a="1"}`:      {`a="1"`, `__profile_type__="` + cpu + `"`},
		`{a="1"}`:            {`a="1"`},
		`{a="1:2:3:4:5"}`:    {`a="1:2:3:4:5"`},
		`process_cpu{a="1"}`: {`a="1"`, `__name__="process_cpu"`},
	} {
		f, q := newFrontend(nil)
		_, err := f.Analyze(t.Context(), text, request.Labels{})
		require.NoError(t, err)
		var got []string
		for _, m := range q.sets[0] {
			got = append(got, m.String())
		}
		require.Equal(t, want, got, text)
	}
	f, _ := newFrontend(nil)
	_, err := f.Analyze(t.Context(), "{a=", request.Labels{})
	require.True(t, fault.Is(err, fault.Invalid))
}

func TestConfig(t *testing.T) {
	c := defaults()
	require.Empty(t, c.Validate())
	bad := Config{MaxLength: -1, MaxLookback: -1, DefaultNodes: 5, MaxNodes: 0, SplitInterval: time.Second, CacheBytes: -1}
	require.Len(t, bad.Validate(), 7)
}

func TestFailuresAreCounted(t *testing.T) {
	for err, want := range map[error]string{
		context.Canceled: "canceled", context.DeadlineExceeded: "deadline exceeded", errors.New("x"): "unknown",
		fault.New(fault.Corrupt, "x"): "corrupt",
	} {
		f, q := newFrontend(nil)
		q.err = err
		_, _ = f.Tree(t.Context(), ask(nil).Profile)
		require.EqualValues(t, 1, testutil.ToFloat64(f.metrics.failures.WithLabelValues("tree", want)))
	}
}

func TestFunctions(t *testing.T) {
	f, q := newFrontend(nil)
	question := func(limit int64, sort string) request.Functions {
		return request.Functions{Profile: ask(nil).Profile, Limit: limit, Sort: sort}
	}
	top, err := f.Functions(t.Context(), question(3, ""))
	require.NoError(t, err)
	require.EqualValues(t, 10, top.Total)
	require.Equal(t, []tree.Function{{Name: "d", Self: 4, Total: 4}, {Name: "c", Self: 3, Total: 3}, {Name: "b", Self: 2, Total: 2}}, top.Functions)
	require.Equal(t, 1, top.RestFunctions)
	require.EqualValues(t, 1, top.RestSelf)
	require.Equal(t, cpu, q.sel.Type.String())

	top, err = f.Functions(t.Context(), question(0, "self"))
	require.NoError(t, err)
	require.Len(t, top.Functions, 4)
	require.Zero(t, top.RestFunctions)

	q.asked = 0
	for _, c := range []struct {
		req  request.Functions
		want string
	}{
		{question(-1, ""), "limit is -1; it must be from 1 to 10000, or 0 for the default of 100"},
		{question(10_001, ""), "limit is 10001"},
		{question(1, "name"), `sort is "name"; it must be total or self`},
	} {
		_, err := f.Functions(t.Context(), c.req)
		require.True(t, fault.Is(err, fault.Invalid))
		require.ErrorContains(t, err, c.want)
	}
	require.Zero(t, q.asked, "refused before anything is read")

	f, q = newFrontend(func(cfg *Config) { cfg.MaxLookback = time.Millisecond })
	old := question(0, "")
	old.Start, old.End = now-2000, now-1000
	top, err = f.Functions(t.Context(), old)
	require.NoError(t, err)
	require.Zero(t, q.asked)
	require.Empty(t, top.Functions)
}
