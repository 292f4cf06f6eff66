package question

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Merge makes one answer to q of those that parts of the data, or parts of its
// time, have given. The parts stay as they are and share nothing with what is
// returned that changes. It has no version.
func Merge(q *Question, parts []*Answer) (*Answer, error) {
	for _, p := range parts {
		if p.Unchanged {
			return nil, fmt.Errorf("merge answers: one says that it has not changed, and not what it is")
		}
	}
	out := new(Answer)
	var err error
	switch q.Kind {
	case Tree:
		out.Tree = mergeTrees(parts)
	case Profile:
		out.Profile, err = mergeProfiles(parts)
	case Series:
		out.Series = series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation())
		for _, p := range parts {
			out.Series.Merge(p.Series)
		}
	case LabelNames, LabelValues:
		for _, p := range parts {
			out.Texts = append(out.Texts, p.Texts...)
		}
		slices.Sort(out.Texts)
		out.Texts = slices.Compact(out.Texts)
	case LabelSets:
		for _, p := range parts {
			out.Sets = append(out.Sets, p.Sets...)
		}
		slices.SortFunc(out.Sets, labels.Compare)
		out.Sets = slices.CompactFunc(out.Sets, labels.Equal)
	case Types:
		for _, p := range parts {
			out.Types = append(out.Types, p.Types...)
		}
		sortTypes(out)
	case Stats:
		out.Stats = mergeStats(parts)
	case Analyze:
		for _, p := range parts {
			out.Impact.Series += p.Impact.Series
			out.Impact.Profiles += p.Impact.Profiles
			out.Impact.Samples += p.Impact.Samples
			out.Impact.Bytes += p.Impact.Bytes
		}
	case Count:
		for _, p := range parts {
			out.Counts = append(out.Counts, p.Counts...)
		}
		out.Counts = query.MergeCounts(out.Counts)
	default:
		return nil, fmt.Errorf("merge answers: there are no questions of kind %d", q.Kind)
	}
	return out, err
}

// mergeTrees adds the trees to a copy of the largest.
func mergeTrees(parts []*Answer) *tree.Tree {
	largest := -1
	for i, p := range parts {
		if largest < 0 || p.Tree.Len() > parts[largest].Tree.Len() {
			largest = i
		}
	}
	if largest < 0 {
		return tree.New()
	}
	out := parts[largest].Tree.Clone()
	for i, p := range parts {
		if i != largest {
			out.Merge(p.Tree)
		}
	}
	return out
}

func mergeProfiles(parts []*Answer) (*profile.Profile, error) {
	if len(parts) == 1 {
		return parts[0].Profile, nil // nobody changes profiles
	}
	list := make([]*profile.Profile, len(parts))
	for i, p := range parts {
		list[i] = p.Profile
	}
	return query.MergeProfiles(list)
}

// sortTypes puts types in the order of their IDs, each once.
func sortTypes(a *Answer) {
	ids := make(map[string]profile.Type, len(a.Types))
	for _, t := range a.Types {
		ids[t.String()] = t
	}
	order := make([]string, 0, len(ids))
	for id := range ids {
		order = append(order, id)
	}
	slices.Sort(order)
	a.Types = a.Types[:0]
	for _, id := range order {
		a.Types = append(a.Types, ids[id])
	}
}

func mergeStats(parts []*Answer) (out query.Stats) {
	for _, p := range parts {
		s := p.Stats
		switch {
		case !s.Ingested:
		case !out.Ingested:
			out = s
		default:
			out.Oldest, out.Newest = min(out.Oldest, s.Oldest), max(out.Newest, s.Newest)
		}
	}
	return out
}
