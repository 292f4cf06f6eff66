// Package queryfrontend is where queries come in: it checks what a client asks
// for, holds it to the limits, has it answered, and cuts the answer to size.
//
// Every question goes the same way: check → split → cache → ask → merge →
// finish. Who answers is one question.Asker: a queue of questions that queriers
// take, in this process or in others.
//
// Invariants:
//
//	F1  what is wrong with a request is a fault of kind Invalid that names the
//	    field, its value and what is allowed, before anything is read;
//	F2  flame graphs and lists of functions are cut here and nowhere before, so
//	    that they are the same wherever the data lies and however the question
//	    was split, and their totals are those of the uncut data;
//	F3  an answer is used again only if a querier has just said that the data it
//	    was made of is still the same, by a version that is made of the identity
//	    of every profile selected. So profiles that arrive late, and deletions,
//	    are seen at once; what is saved is to sum the profiles and to send the
//	    sums;
//	F4  a question that cannot be answered now is asked three times, within the
//	    time that the client gives it;
//	F5  what is refused because too many queries of the tenant wait is a whole
//	    question, and not because of how many parts it or another one has.
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
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// Frontend answers the questions of clients. It is safe for concurrent use.
type Frontend struct {
	cfg     Config
	asker   question.Asker
	now     func() time.Time
	metrics *metrics
	cache   *cache // nil: none
	crowd   *crowd
}

// New returns a Frontend that asks a. The clock is for the look-back limit, and
// for which times are over.
func New(cfg Config, a question.Asker, reg prometheus.Registerer, now func() time.Time) *Frontend {
	f := &Frontend{cfg: cfg, asker: a, now: now, metrics: newMetrics(reg), crowd: newCrowd(cfg.MaxParallelism)}
	if cfg.CacheBytes > 0 {
		f.cache = newCache(int64(cfg.CacheBytes), func(n int64) { f.metrics.cacheBytes.Add(float64(n)) })
	}
	return f
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
	a, err := f.ask(ctx, &question.Question{Kind: question.Tree, Selection: sel})
	if err != nil {
		return nil, err
	}
	return a.Tree, nil
}

// Functions returns the functions with the largest sums of the samples asked
// for.
func (f *Frontend) Functions(ctx context.Context, req request.Functions) (_ *query.TopFunctions, err error) {
	defer f.observe("functions", &err)()
	limit, bySelf, err := functionOrder(req)
	if err != nil {
		return nil, err
	}
	t, err := f.uncut(ctx, req.Profile)
	if err != nil {
		return nil, err
	}
	sums := &query.FunctionSums{Total: t.Total(), Functions: t.Functions()}
	sums.Saturated = t.Saturated // which summing may have set
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
		a, err := f.ask(ctx, &question.Question{Kind: question.Profile, Selection: sel})
		if err != nil {
			return nil, err
		}
		copied := *a.Profile
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
	q := &question.Question{Kind: question.Series, Selection: sel.Selection, Grid: sel.Grid, GroupBy: sel.GroupBy, Average: sel.Average}
	a, err := f.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	// Building puts a series in order, and this one may be in the cache.
	own, err := question.Merge(q, []*question.Answer{a})
	if err != nil {
		return nil, err
	}
	return own.Series.Build(sel.Limit), nil
}

// ProfileTypes returns the profile types that there are.
func (f *Frontend) ProfileTypes(ctx context.Context, req request.Labels) (_ []profile.Type, err error) {
	defer f.observe("profile types", &err)()
	r, nothing, err := f.labelRange(req)
	if err != nil || nothing {
		return nil, err
	}
	a, err := f.ask(ctx, &question.Question{Kind: question.Types, Range: r})
	if err != nil {
		return nil, err
	}
	return a.Types, nil
}

// LabelNames returns the names of the labels of the series that any of the
// matchers selects, all series without matchers.
func (f *Frontend) LabelNames(ctx context.Context, req request.Labels) (_ []string, err error) {
	defer f.observe("label names", &err)()
	q, nothing, err := f.listing(question.LabelNames, req)
	if err != nil || nothing {
		return nil, err
	}
	a, err := f.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	return a.Texts, nil
}

// LabelValues returns the values of one label, of the series as in LabelNames.
func (f *Frontend) LabelValues(ctx context.Context, name string, req request.Labels) (_ []string, err error) {
	defer f.observe("label values", &err)()
	if name == "" {
		return nil, invalid("the name of the label is missing")
	}
	q, nothing, err := f.listing(question.LabelValues, req)
	if err != nil || nothing {
		return nil, err
	}
	q.Label = name
	a, err := f.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	return a.Texts, nil
}

// LabelSets returns the distinct combinations of the named labels, of all
// labels if none is named, of the series as in LabelNames.
func (f *Frontend) LabelSets(ctx context.Context, names []string, req request.Labels) (_ []labels.Labels, err error) {
	defer f.observe("label sets", &err)()
	q, nothing, err := f.listing(question.LabelSets, req)
	if err != nil || nothing {
		return nil, err
	}
	q.Names = names
	a, err := f.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	return a.Sets, nil
}

// DataStats tells whether there is any data, and from when to when.
func (f *Frontend) DataStats(ctx context.Context) (_ query.Stats, err error) {
	defer f.observe("stats", &err)()
	a, err := f.ask(ctx, &question.Question{Kind: question.Stats, Range: profile.TimeRange{Start: 0, End: endOfTime}})
	if err != nil {
		return query.Stats{}, err
	}
	return a.Stats, nil
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
	a, err := f.ask(ctx, &question.Question{Kind: question.Analyze, Matchers: [][]*labels.Matcher{matchers}, Range: r})
	if err != nil {
		return query.Impact{}, err
	}
	return a.Impact, nil
}
