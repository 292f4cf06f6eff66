package queryfrontend

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

func TestSplitOfRanges(t *testing.T) {
	ask := func(start, end profile.UnixMilli, interval time.Duration) (out []profile.TimeRange) {
		q := &question.Question{Kind: question.Tree, Selection: query.Selection{Range: profile.TimeRange{Start: start, End: end}}}
		for _, part := range split(q, interval) {
			out = append(out, part.Interval())
		}
		return out
	}
	second := time.Second
	require.Equal(t, []profile.TimeRange{{Start: 1500, End: 9000}}, ask(1500, 9000, 0))
	require.Equal(t, []profile.TimeRange{{Start: 1500, End: 1999}, {Start: 2000, End: 2999}, {Start: 3000, End: 3000}}, ask(1500, 3000, second))
	require.Equal(t, []profile.TimeRange{{Start: 1000, End: 1999}}, ask(1000, 1999, second))
	require.Equal(t, []profile.TimeRange{{Start: 1000, End: 1000}}, ask(1000, 1000, second))
	require.Equal(t, []profile.TimeRange{{Start: 0, End: 999}, {Start: 1000, End: 1000}}, ask(0, 1000, second))

	all := ask(0, endOfTime, second)
	require.LessOrEqual(t, len(all), mostParts)
	require.Greater(t, len(all), mostParts/4)
	next := profile.UnixMilli(0)
	for _, r := range all {
		require.Equal(t, next, r.Start)
		next = r.End + 1
	}
	require.Equal(t, endOfTime+1, next)

	for _, kind := range []question.Kind{question.LabelNames, question.Stats, question.Analyze} {
		require.Len(t, split(&question.Question{Kind: kind, Range: profile.TimeRange{End: 1e15}}, second), 1)
	}
}

// TestSplitOfSeries: whatever the grid, the parts count what the whole counts,
// and a part that is whole is the same for questions that begin at other points.
func TestSplitOfSeries(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		step := 1 + r.Int64N(3000)
		q := &question.Question{Kind: question.Series, Average: r.IntN(2) == 0, GroupBy: []string{"a"}}
		q.Grid = series.Grid{Start: profile.UnixMilli(r.Int64N(5000)), StepMillis: step}
		q.Grid.End = q.Grid.Start + profile.UnixMilli(r.Int64N(20_000))
		parts := split(q, 1700*time.Millisecond)
		whole := series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation())
		answers := make([]*question.Answer, len(parts))
		next := q.Grid.Range().Start
		for i, p := range parts {
			answers[i] = &question.Answer{Series: series.NewBuilder(p.Grid, p.GroupBy, p.Aggregation())}
			require.Equal(t, next, p.Interval().Start, "%+v", q.Grid)
			require.Equal(t, p.Interval(), p.Selection.Range)
			next = p.Interval().End + 1
		}
		require.Equal(t, q.Grid.End+1, next)
		for range 500 {
			ls, at, v := labels.FromStrings("a", string(rune('a'+r.IntN(3)))), profile.UnixMilli(r.Int64N(30_000)-3000), r.Int64N(1000)
			whole.Add(ls, at, v)
			for _, a := range answers {
				a.Series.Add(ls, at, v)
			}
		}
		merged, err := question.Merge(q, answers)
		require.NoError(t, err)
		require.Equal(t, whole.Build(0), merged.Series.Build(0))

		later := *q
		later.Grid.Start += profile.UnixMilli(step)
		if later.Grid.Start <= later.Grid.End && len(parts) > 2 {
			shifted := split(&later, 1700*time.Millisecond)
			require.Equal(t, parts[1].Grid, shifted[len(shifted)-len(parts)+1].Grid)
		}
	}
}

func TestKeys(t *testing.T) {
	base := func() *question.Question {
		typ, _ := profile.ParseType(cpu)
		return &question.Question{Kind: question.Series, GroupBy: []string{"x"}, Grid: series.Grid{Start: 1, End: 5, StepMillis: 1}, Selection: query.Selection{
			Type: typ, Range: profile.TimeRange{Start: 1, End: 5},
			Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "1"), labels.MustNewMatcher(labels.MatchRegexp, "b", "2")},
		}}
	}
	known := map[string]bool{keyOf("t", base()): true}
	for i, change := range []func(*question.Question){
		func(q *question.Question) { q.Kind = question.Tree },
		func(q *question.Question) { q.Selection.Type.Name = "x" },
		func(q *question.Question) { q.Selection.Matchers = q.Selection.Matchers[:1] },
		func(q *question.Question) { q.Selection.Matchers[0].Type = labels.MatchNotEqual },
		func(q *question.Question) { q.Selection.Matchers[0].Value = "12" },
		func(q *question.Question) { q.Selection.Range.End++ },
		func(q *question.Question) { q.Grid.Start++ },
		func(q *question.Question) { q.Grid.StepMillis++ },
		func(q *question.Question) { q.GroupBy = nil },
		func(q *question.Question) { q.GroupBy = []string{"x", "y"} },
		func(q *question.Question) { q.Average = true },
		func(q *question.Question) { q.Selection.CallSite = []string{} },
		func(q *question.Question) { q.Selection.CallSite = []string{"a", "b"} },
		func(q *question.Question) { q.Selection.CallSite = []string{"ab"} },
		func(q *question.Question) { q.Selection.Spans = []uint64{} },
		func(q *question.Question) { q.Selection.Spans = []uint64{1} },
		func(q *question.Question) { q.Selection.ProfileIDs = []uint64{1} },
	} {
		q := base()
		change(q)
		key := keyOf("t", q)
		require.False(t, known[key], "change %d", i)
		known[key] = true
	}
	require.NotEqual(t, keyOf("t", base()), keyOf("u", base()))
	same := base()
	same.Selection.Matchers[0], same.Selection.Matchers[1] = same.Selection.Matchers[1], same.Selection.Matchers[0]
	same.WantVersion, same.Known = true, question.Version{Hi: 1}
	require.Equal(t, keyOf("t", base()), keyOf("t", same))
}

// stuck never answers.
type stuck struct{}

func (stuck) Ask(ctx context.Context, _ *question.Question) (*question.Answer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestQueriesEnd(t *testing.T) {
	f := New(Config{DefaultNodes: 1, MaxNodes: 1, MaxParallelism: 1, Timeout: 10 * time.Millisecond}, stuck{}, prometheus.NewRegistry(), time.Now)
	_, err := f.DataStats(context.Background())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "-querier.timeout")

	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = f.DataStats(gone)
	require.ErrorIs(t, err, context.Canceled, "that is the client's doing")
}
