// Package queryfrontend is where queries come in: it checks what a client asks
// for, holds it to the limits, lets a Querier answer, and cuts the answer to
// size.
//
// Every question goes the same way: check → ask → finish. What is wrong with a
// request is a fault of kind Invalid that names the field, its value and what
// is allowed, before anything is read. Flame graphs are cut here and nowhere
// before, so that they show the same nodes wherever the data lies, and their
// totals are those of the uncut data.
package queryfrontend

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flamegraph"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pgo"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/selector"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Querier answers questions that have been checked, for the tenant of the
// context.
type Querier interface {
	Profiles
	Labels
	Catalogue
}

// Profiles sums up samples.
type Profiles interface {
	Tree(ctx context.Context, sel query.Selection) (*tree.Tree, error)
	Functions(ctx context.Context, sel query.Selection) (*query.FunctionSums, error)
	Profile(ctx context.Context, sel query.Selection) (*profile.Profile, error)
	TimeSeries(ctx context.Context, sel query.SeriesSelection) ([]series.Series, error)
}

// Labels lists labels.
type Labels interface {
	LabelNames(ctx context.Context, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error)
	LabelValues(ctx context.Context, name string, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error)
	LabelSets(ctx context.Context, matchers [][]*labels.Matcher, names []string, r profile.TimeRange) ([]labels.Labels, error)
}

// Catalogue tells what there is.
type Catalogue interface {
	Types(ctx context.Context, r profile.TimeRange) ([]profile.Type, error)
	DataStats(ctx context.Context) (query.Stats, error)
	Analyze(ctx context.Context, matchers []*labels.Matcher, r profile.TimeRange) (query.Impact, error)
}

// Frontend answers the questions of clients. It is safe for concurrent use.
type Frontend struct {
	cfg     Config
	querier Querier
	now     func() time.Time
	metrics *metrics
}

// New returns a Frontend that asks q. The clock is for the look-back limit.
func New(cfg Config, q Querier, reg prometheus.Registerer, now func() time.Time) *Frontend {
	return &Frontend{cfg: cfg, querier: q, now: now, metrics: newMetrics(reg)}
}

// Tree returns the call tree of the samples asked for, cut to size.
func (f *Frontend) Tree(ctx context.Context, req request.Profile) (_ *tree.Tree, err error) {
	defer f.observe("tree", &err)()
	nodes, err := f.nodes(req.MaxNodes)
	if err != nil {
		return nil, err
	}
	t, err := f.uncut(ctx, req)
	if err != nil {
		return nil, err
	}
	return t.Truncate(nodes), nil
}

func (f *Frontend) uncut(ctx context.Context, req request.Profile) (*tree.Tree, error) {
	sel, nothing, err := f.selection(req)
	if err != nil {
		return nil, err
	}
	if nothing {
		return tree.New(), nil
	}
	return f.querier.Tree(ctx, sel)
}

// Functions returns the functions with the largest sums of the samples asked
// for.
func (f *Frontend) Functions(ctx context.Context, req request.Functions) (_ *query.TopFunctions, err error) {
	defer f.observe("functions", &err)()
	limit, bySelf, err := functionOrder(req)
	if err != nil {
		return nil, err
	}
	sel, nothing, err := f.selection(req.Profile)
	if err != nil {
		return nil, err
	}
	sums := new(query.FunctionSums)
	if !nothing {
		if sums, err = f.querier.Functions(ctx, sel); err != nil {
			return nil, err
		}
	}
	return sums.Top(limit, bySelf), nil
}

// Diff returns the flame graph of the difference of two questions, cut to the
// larger of their sizes.
func (f *Frontend) Diff(ctx context.Context, left, right request.Profile) (_ *flamegraph.DiffGraph, err error) {
	defer f.observe("diff", &err)()
	sides := []struct {
		name string
		req  request.Profile
		tree *tree.Tree
	}{{name: "left", req: left}, {name: "right", req: right}}
	most := 0
	for _, s := range sides {
		n, err := f.nodes(s.req.MaxNodes)
		if err == nil {
			_, _, err = f.selection(s.req)
		}
		if err != nil {
			return nil, inField(s.name, err)
		}
		most = max(most, n)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range sides {
		group.Go(func() (err error) {
			sides[i].tree, err = f.uncut(ctx, sides[i].req)
			return inField(sides[i].name, err)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return flamegraph.Diff(sides[0].tree, sides[1].tree, most)
}

// Profile returns the samples asked for as one profile with one sample type,
// each distinct stack once. It is never cut: MaxNodes is about flame graphs.
func (f *Frontend) Profile(ctx context.Context, req request.Profile) (_ *profile.Profile, err error) {
	defer f.observe("profile", &err)()
	if req.PGO != nil {
		req.CallSite = nil
	}
	sel, nothing, err := f.selection(req)
	if err != nil {
		return nil, err
	}
	out := &profile.Profile{Strings: []string{""}, Mappings: []profile.Mapping{{}}, LabelSets: [][]profile.LabelPair{nil}}
	if !nothing {
		merged, err := f.querier.Profile(ctx, sel)
		if err != nil {
			return nil, err
		}
		copied := *merged
		out = &copied
	}
	if req.PGO != nil {
		out = pgo.Prepare(out, req.PGO.KeepLocations, req.PGO.AggregateCallees)
	}
	describe(out, sel)
	return out, nil
}

// describe sets what a merged profile says about itself. The period is that of
// the unit the values have, not of any one of the profiles.
func describe(p *profile.Profile, sel query.Selection) {
	p.Types = []profile.ValueType{{Type: sel.Type.SampleType, Unit: sel.Type.SampleUnit}}
	p.PeriodType = profile.ValueType{Type: sel.Type.PeriodType, Unit: sel.Type.PeriodUnit}
	switch sel.Type.Name {
	case "process_cpu":
		p.Period = 1_000_000_000
	case "memory":
		p.Period = 512 << 10
	default:
		p.Period = 1
	}
	const nanosPerMilli = int64(time.Millisecond)
	p.TimeNanos = int64(sel.Range.Start) * nanosPerMilli
	p.DurationNanos = max(0, int64(sel.Range.End-sel.Range.Start)) * nanosPerMilli
}

// Series returns the totals of the profiles asked for over time.
func (f *Frontend) Series(ctx context.Context, req request.Series) (_ []series.Series, err error) {
	defer f.observe("series", &err)()
	sel, nothing, err := f.seriesSelection(req)
	if err != nil || nothing {
		return nil, err
	}
	return f.querier.TimeSeries(ctx, sel)
}

// ProfileTypes returns the profile types that there are.
func (f *Frontend) ProfileTypes(ctx context.Context, req request.Labels) (_ []profile.Type, err error) {
	defer f.observe("profile types", &err)()
	r, nothing, err := f.labelRange(req)
	if err != nil || nothing {
		return nil, err
	}
	return f.querier.Types(ctx, r)
}

// LabelNames returns the names of the labels of the series that any of the
// matchers selects, all series without matchers.
func (f *Frontend) LabelNames(ctx context.Context, req request.Labels) (_ []string, err error) {
	defer f.observe("label names", &err)()
	return f.union(req, func(matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
		return f.querier.LabelNames(ctx, matchers, r)
	})
}

// LabelValues returns the values of one label, of the series as in LabelNames.
func (f *Frontend) LabelValues(ctx context.Context, name string, req request.Labels) (_ []string, err error) {
	defer f.observe("label values", &err)()
	if name == "" {
		return nil, invalid("the name of the label is missing")
	}
	return f.union(req, func(matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
		return f.querier.LabelValues(ctx, name, matchers, r)
	})
}

// LabelSets returns the distinct combinations of the named labels, of all
// labels if none is named, of the series as in LabelNames.
func (f *Frontend) LabelSets(ctx context.Context, names []string, req request.Labels) (_ []labels.Labels, err error) {
	defer f.observe("label sets", &err)()
	r, nothing, err := f.labelRange(req)
	if err != nil {
		return nil, err
	}
	matchers, err := selector.ParseAll(req.Matchers)
	if err != nil || nothing {
		return nil, err
	}
	if len(matchers) == 0 {
		matchers = [][]*labels.Matcher{nil}
	}
	return f.querier.LabelSets(ctx, matchers, names, r)
}

// DataStats tells whether there is any data, and from when to when.
func (f *Frontend) DataStats(ctx context.Context) (_ query.Stats, err error) {
	defer f.observe("stats", &err)()
	return f.querier.DataStats(ctx)
}

// Analyze tells how much a query would read. The query is a selector that may
// have a profile type ID in front.
func (f *Frontend) Analyze(ctx context.Context, text string, req request.Labels) (_ query.Impact, err error) {
	defer f.observe("analyze", &err)()
	r, nothing, err := f.labelRange(req)
	if err != nil {
		return query.Impact{}, err
	}
	matchers, err := queryMatchers(text)
	if err != nil || nothing {
		return query.Impact{}, err
	}
	return f.querier.Analyze(ctx, matchers, r)
}
