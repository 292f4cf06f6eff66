package question

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Over answers q over units that hold each profile of the tenant once. It does
// not look at versions.
func Over(ctx context.Context, e *query.Engine, tenantID string, units []query.Queryable, q *Question) (*Answer, error) {
	var err error
	a := new(Answer)
	switch q.Kind {
	case Tree:
		a.Tree, err = e.Tree(ctx, tenantID, units, q.Selection)
	case Profile:
		a.Profile, err = e.Profile(ctx, units, q.Selection)
	case Series:
		a.Series, err = e.SeriesBuilder(ctx, units, q.SeriesSelection())
	case LabelNames:
		a.Texts, err = q.union(func(ms []*labels.Matcher) ([]string, error) { return query.LabelNames(ctx, units, ms, q.Range) })
	case LabelValues:
		a.Texts, err = q.union(func(ms []*labels.Matcher) ([]string, error) {
			return query.LabelValues(ctx, units, q.Label, ms, q.Range)
		})
	case LabelSets:
		a.Sets, err = query.LabelSets(ctx, units, q.Matchers, q.Names, q.Range)
	case Types:
		a.Types, err = query.Types(ctx, units, q.Range)
	case Stats:
		a.Stats, err = query.DataStats(ctx, units)
	case Analyze:
		a.Impact, err = query.Analyze(ctx, units, q.first(), q.Range)
	case Count:
		a.Counts, err = query.Count(ctx, units, q.first(), q.Range)
	default:
		err = fault.New(fault.Unimplemented, "questions of kind %d are not known here", q.Kind)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// first returns the only list of matchers of a question that has no union.
func (q *Question) first() []*labels.Matcher {
	if len(q.Matchers) == 0 {
		return nil
	}
	return q.Matchers[0]
}

// union asks for each list of matchers.
func (q *Question) union(ask func([]*labels.Matcher) ([]string, error)) ([]string, error) {
	if len(q.Matchers) < 2 {
		return ask(q.first())
	}
	var all []string
	for _, ms := range q.Matchers {
		got, err := ask(ms)
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// RowMatchers returns the matchers of the rows that a question that sums is
// about.
func (q *Question) RowMatchers() []*labels.Matcher {
	if q.Kind == Analyze || q.Kind == Count {
		return q.first()
	}
	return q.Selection.AllMatchers()
}
