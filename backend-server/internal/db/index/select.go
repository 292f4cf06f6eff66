// Package index finds series by label matchers.
//
// The postings themselves are Prometheus': MemPostings in a head, the TSDB
// index format in a block. This package holds what both need: turning a list
// of matchers into one list of series references.
package index

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	tsdb "github.com/prometheus/prometheus/tsdb/index"
)

// Source is what Select needs of an index.
type Source interface {
	// Postings returns the series that have any of the values for the name.
	Postings(ctx context.Context, name string, values ...string) (tsdb.Postings, error)
	// PostingsForLabelMatching returns the series whose value for the name,
	// which is not empty, satisfies match.
	PostingsForLabelMatching(ctx context.Context, name string, match func(string) bool) tsdb.Postings
}

// Mem makes a Source of MemPostings, which never fail.
type Mem struct{ *tsdb.MemPostings }

// Postings implements Source.
func (m Mem) Postings(ctx context.Context, name string, values ...string) (tsdb.Postings, error) {
	return m.MemPostings.Postings(ctx, name, values...), nil
}

// Select returns the series that all matchers match. As in Prometheus, a
// series without a label has the empty value for it.
func Select(ctx context.Context, src Source, matchers ...*labels.Matcher) (tsdb.Postings, error) {
	var with, without []tsdb.Postings
	for _, m := range matchers {
		if m.Matches("") {
			without = append(without, src.PostingsForLabelMatching(ctx, m.Name, func(v string) bool { return !m.Matches(v) }))
			continue
		}
		p, err := positive(ctx, src, m)
		if err != nil {
			return nil, err
		}
		with = append(with, p)
	}
	if len(with) == 0 {
		all, err := src.Postings(ctx, allName, allValue)
		if err != nil {
			return nil, err
		}
		with = append(with, all)
	}
	out := tsdb.Intersect(with...)
	for _, w := range without {
		out = tsdb.Without(out, w)
	}
	return out, nil
}

var allName, allValue = tsdb.AllPostingsKey()

func positive(ctx context.Context, src Source, m *labels.Matcher) (tsdb.Postings, error) {
	switch m.Type {
	case labels.MatchEqual:
		return src.Postings(ctx, m.Name, m.Value)
	case labels.MatchRegexp:
		if set := m.SetMatches(); len(set) > 0 {
			return src.Postings(ctx, m.Name, set...)
		}
	}
	return src.PostingsForLabelMatching(ctx, m.Name, m.Matches), nil
}
