package querier

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// The methods below are Ask for callers that ask one kind of question.

// Tree merges what is selected into a call tree.
func (q *Querier) Tree(ctx context.Context, sel query.Selection) (*tree.Tree, error) {
	a, err := q.Ask(ctx, &question.Question{Kind: question.Tree, Selection: sel})
	if err != nil {
		return nil, err
	}
	return a.Tree, nil
}

// Functions sums what is selected by function.
func (q *Querier) Functions(ctx context.Context, sel query.Selection) (*query.FunctionSums, error) {
	t, err := q.Tree(ctx, sel)
	if err != nil {
		return nil, err
	}
	return &query.FunctionSums{Total: t.Total(), Functions: t.Functions(), Saturated: t.Saturated}, nil
}

// Profile merges what is selected into one profile.
func (q *Querier) Profile(ctx context.Context, sel query.Selection) (*profile.Profile, error) {
	a, err := q.Ask(ctx, &question.Question{Kind: question.Profile, Selection: sel})
	if err != nil {
		return nil, err
	}
	return a.Profile, nil
}

// TimeSeries returns totals over time.
func (q *Querier) TimeSeries(ctx context.Context, sel query.SeriesSelection) ([]series.Series, error) {
	a, err := q.Ask(ctx, &question.Question{Kind: question.Series, Selection: sel.Selection, Grid: sel.Grid, GroupBy: sel.GroupBy, Average: sel.Average})
	if err != nil {
		return nil, err
	}
	return a.Series.Build(sel.Limit), nil
}

func (q *Querier) list(ctx context.Context, what question.Question) (*question.Answer, error) {
	a, err := q.Ask(ctx, &what)
	if err != nil {
		return new(question.Answer), err
	}
	return a, nil
}

// LabelNames returns the names of labels.
func (q *Querier) LabelNames(ctx context.Context, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
	a, err := q.list(ctx, question.Question{Kind: question.LabelNames, Matchers: [][]*labels.Matcher{matchers}, Range: r})
	return a.Texts, err
}

// LabelValues returns the values of a label.
func (q *Querier) LabelValues(ctx context.Context, name string, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
	a, err := q.list(ctx, question.Question{Kind: question.LabelValues, Label: name, Matchers: [][]*labels.Matcher{matchers}, Range: r})
	return a.Texts, err
}

// LabelSets returns distinct combinations of labels.
func (q *Querier) LabelSets(ctx context.Context, matchers [][]*labels.Matcher, names []string, r profile.TimeRange) ([]labels.Labels, error) {
	a, err := q.list(ctx, question.Question{Kind: question.LabelSets, Matchers: matchers, Names: names, Range: r})
	return a.Sets, err
}

// Types returns the profile types there are.
func (q *Querier) Types(ctx context.Context, r profile.TimeRange) ([]profile.Type, error) {
	a, err := q.list(ctx, question.Question{Kind: question.Types, Range: r})
	return a.Types, err
}

// DataStats tells from when to when there is data.
func (q *Querier) DataStats(ctx context.Context) (query.Stats, error) {
	a, err := q.list(ctx, question.Question{Kind: question.Stats, Range: profile.TimeRange{End: 253_402_300_799_999}})
	return a.Stats, err
}

// Analyze tells how much a query would read.
func (q *Querier) Analyze(ctx context.Context, matchers []*labels.Matcher, r profile.TimeRange) (query.Impact, error) {
	a, err := q.list(ctx, question.Question{Kind: question.Analyze, Matchers: [][]*labels.Matcher{matchers}, Range: r})
	return a.Impact, err
}
