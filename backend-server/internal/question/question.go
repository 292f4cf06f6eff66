// Package question is what the read path passes on: a question that has been
// checked, and its answer.
//
// The query-frontend cuts what a client asks into questions, the
// query-scheduler keeps them in order, a querier answers each and asks the
// stores in turn; what comes back is merged at every stage with the same Merge.
// An answer is therefore never cut: a tree is whole, sums of series still know
// how many profiles they are made of. Questions and answers are plain values
// that are not changed once they are passed on.
package question

import (
	"context"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Kind is what is asked for.
type Kind uint8

// The kinds of questions. Their numbers go over the wire.
const (
	Tree        Kind = iota + 1 // the call tree of the samples selected
	Profile                     // the samples selected as one profile
	Series                      // totals over time
	LabelNames                  // names of labels
	LabelValues                 // values of the label Label
	LabelSets                   // combinations of the labels Names
	Types                       // profile types
	Stats                       // from when to when there is data
	Analyze                     // how much a query would read
	Count                       // how many profiles there are, by service
)

var kindNames = [...]string{"", "tree", "profile", "series", "label names", "label values", "label sets", "profile types", "stats", "analyze", "count"}

// String returns the kind as metrics name it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Sums reports whether the question is for sums over samples: profiles that
// have replicas must be counted once. The other kinds list what there is.
func (k Kind) Sums() bool {
	return k == Tree || k == Profile || k == Series || k == Analyze || k == Count
}

// Typed reports whether the question is about one profile type.
func (k Kind) Typed() bool { return k == Tree || k == Profile || k == Series }

// Question is a question that has been checked.
type Question struct {
	Kind Kind

	// Of Tree, Profile and Series. Series takes the range from Grid.
	Selection query.Selection
	Grid      series.Grid // Series
	GroupBy   []string    // Series
	Average   bool        // Series

	// Of the others. Matchers is a union; without any, everything matches.
	Matchers [][]*labels.Matcher
	Range    profile.TimeRange
	Label    string   // LabelValues
	Names    []string // LabelSets

	// WantVersion asks for the version of the data that the answer is made of
	// (Tree, Profile and Series only). If that is Known, only that is answered.
	WantVersion bool
	Known       Version

	// Only are the blocks of the bucket that are asked for; nil stands for all.
	// A querier sets it, for store-gateways.
	Only []ulid.ULID
	// Without says what is deleted. Stores answer as if it were not there. A
	// querier sets it before it asks them; nobody who asks a querier does.
	Without deletion.Rules
}

// Version stands for a set of profiles: equal versions, equal data. The zero
// Version stands for none.
type Version struct{ Hi, Lo uint64 }

// Answer is the answer to a Question. Which field is set depends on its Kind.
type Answer struct {
	Tree    *tree.Tree
	Profile *profile.Profile // without types, times and period
	Series  *series.Builder
	Texts   []string // LabelNames, LabelValues; sorted
	Sets    []labels.Labels
	Types   []profile.Type
	Stats   query.Stats
	Impact  query.Impact
	Counts  []query.ServiceCount // by service, ascending

	Version   Version // if it was asked for
	Unchanged bool    // the data is what the asker Known; nothing else is set
}

// Asker answers questions for the tenant of the context.
type Asker interface {
	Ask(ctx context.Context, q *Question) (*Answer, error)
}

// Excluding returns q as it is asked of stores where rules are in force. Sums
// are about profiles of the interval only; a listing looks at whole units, so
// that it takes all rules to know that nothing is left of one.
func (q *Question) Excluding(rules deletion.Rules) *Question {
	out := *q
	out.Without = rules
	if q.Kind.Sums() {
		out.Without = rules.In(q.Interval())
	}
	return &out
}

// Interval returns the range of times of the profiles that q is about.
func (q *Question) Interval() profile.TimeRange {
	switch q.Kind {
	case Tree, Profile:
		return q.Selection.Range
	case Series:
		return q.Grid.Range()
	}
	return q.Range
}

// AnyOf returns the matchers of what q is about, a union of lists. Without any,
// everything matches.
func (q *Question) AnyOf() [][]*labels.Matcher {
	if q.Kind.Sums() {
		return [][]*labels.Matcher{q.RowMatchers()}
	}
	return q.Matchers
}

// Aggregation returns how the values of a point of a series become one.
func (q *Question) Aggregation() series.Aggregation {
	if q.Average {
		return series.Average
	}
	return series.Sum
}

// SeriesSelection returns what q asks the engine for, if it is about Series.
func (q *Question) SeriesSelection() query.SeriesSelection {
	return query.SeriesSelection{Selection: q.Selection, Grid: q.Grid, GroupBy: q.GroupBy, Average: q.Average}
}
