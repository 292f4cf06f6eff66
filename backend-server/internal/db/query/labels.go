package query

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// The listings below look at the series of every Queryable that overlaps the
// range; a series may have its profiles just outside. A zero range stands for
// all times.

// LabelNames returns the names of the labels of the series that all matchers
// match, sorted.
func LabelNames(ctx context.Context, qs []Queryable, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
	return distinct(ctx, qs, matchers, r, func(ls labels.Labels, add func(string)) {
		ls.Range(func(l labels.Label) { add(l.Name) })
	})
}

// LabelValues returns the values of one label over the series that all
// matchers match, sorted.
func LabelValues(ctx context.Context, qs []Queryable, name string, matchers []*labels.Matcher, r profile.TimeRange) ([]string, error) {
	return distinct(ctx, qs, matchers, r, func(ls labels.Labels, add func(string)) {
		if v := ls.Get(name); v != "" {
			add(v)
		}
	})
}

// Types returns the profile types there are, by ID.
func Types(ctx context.Context, qs []Queryable, r profile.TimeRange) ([]profile.Type, error) {
	ids, err := LabelValues(ctx, qs, profile.LabelProfileType, nil, r)
	if err != nil {
		return nil, err
	}
	var out []profile.Type
	for _, id := range ids {
		// A type whose parts hold colons has no ID that could be asked for.
		if t, err := profile.ParseType(id); err == nil {
			out = append(out, t)
		}
	}
	return out, nil
}

func distinct(ctx context.Context, qs []Queryable, matchers []*labels.Matcher, r profile.TimeRange, visit func(ls labels.Labels, add func(string))) ([]string, error) {
	parts, err := each(ctx, overlapping(qs, r), func(ctx context.Context, q Queryable) (map[string]struct{}, error) {
		series, err := q.Select(ctx, matchers...)
		if err != nil {
			return nil, err
		}
		set := map[string]struct{}{}
		for _, s := range series {
			visit(s.Labels, func(v string) { set[v] = struct{}{} })
		}
		return set, nil
	})
	if err != nil {
		return nil, err
	}
	all := map[string]struct{}{}
	for _, set := range parts {
		for v := range set {
			all[v] = struct{}{}
		}
	}
	out := make([]string, 0, len(all))
	for v := range all {
		out = append(out, v)
	}
	slices.Sort(out)
	return out, nil
}

// LabelSets returns the distinct label sets, cut down to names (all labels if
// there are none), of the series that any of the lists of matchers matches,
// sorted. No list at all matches every series.
func LabelSets(ctx context.Context, qs []Queryable, matchers [][]*labels.Matcher, names []string, r profile.TimeRange) ([]labels.Labels, error) {
	if len(matchers) == 0 {
		matchers = [][]*labels.Matcher{nil}
	}
	parts, err := each(ctx, overlapping(qs, r), func(ctx context.Context, q Queryable) ([]labels.Labels, error) {
		var out []labels.Labels
		for _, ms := range matchers {
			series, err := q.Select(ctx, ms...)
			if err != nil {
				return nil, err
			}
			for _, s := range series {
				if ls := keep(s.Labels, names); !ls.IsEmpty() {
					out = append(out, ls)
				}
			}
		}
		return sortedSets(out), nil
	})
	if err != nil {
		return nil, err
	}
	return sortedSets(slices.Concat(parts...)), nil
}

func keep(ls labels.Labels, names []string) labels.Labels {
	if len(names) == 0 {
		return ls
	}
	b := labels.NewScratchBuilder(len(names))
	for _, name := range names {
		if v := ls.Get(name); v != "" {
			b.Add(name, v)
		}
	}
	b.Sort()
	return b.Labels()
}

func sortedSets(sets []labels.Labels) []labels.Labels {
	slices.SortFunc(sets, labels.Compare)
	return slices.CompactFunc(sets, labels.Equal)
}

// Stats says what data there is.
type Stats struct {
	Ingested       bool // whether there is any
	Oldest, Newest profile.UnixMilli
}

// DataStats returns the span of the data.
func DataStats(_ context.Context, qs []Queryable) (Stats, error) {
	var s Stats
	for _, q := range qs {
		r := q.TimeRange()
		if r.Start > r.End {
			continue // empty
		}
		if !s.Ingested {
			s = Stats{true, r.Start, r.End}
		}
		s.Oldest, s.Newest = min(s.Oldest, r.Start), max(s.Newest, r.End)
	}
	return s, nil
}

// Impact says how much a query would read.
type Impact struct {
	Series, Profiles, Samples uint64
	// Bytes estimates what the samples take when stored.
	Bytes uint64
}

// What a sample and a row take in a block, on average.
const (
	bytesPerSample = 2
	bytesPerRow    = 32
)

// Analyze says how much a query over the series that all matchers match would
// read.
func Analyze(ctx context.Context, qs []Queryable, matchers []*labels.Matcher, r profile.TimeRange) (Impact, error) {
	parts, err := each(ctx, overlapping(qs, r), func(ctx context.Context, q Queryable) (Impact, error) {
		series, err := q.Select(ctx, matchers...)
		if err != nil {
			return Impact{}, err
		}
		out := Impact{Series: uint64(len(series))}
		for _, p := range makePlans(series) {
			req := p.request(r)
			req.TotalsOnly = true
			err := q.Scan(ctx, req, func(row *Row) error {
				out.Profiles++
				out.Samples += uint64(row.N)
				return nil
			})
			if err != nil {
				return Impact{}, err
			}
		}
		return out, nil
	})
	var sum Impact
	for _, p := range parts {
		sum.Series += p.Series
		sum.Profiles += p.Profiles
		sum.Samples += p.Samples
	}
	sum.Bytes = sum.Samples*bytesPerSample + sum.Profiles*bytesPerRow
	return sum, err
}
