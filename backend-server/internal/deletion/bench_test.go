package deletion_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// many is a unit of many series.
type many struct {
	unit
	series []query.Series
}

func (m *many) TimeRange() profile.TimeRange { return profile.TimeRange{Start: 0, End: 1000} }

func (m *many) Select(context.Context, ...*labels.Matcher) ([]query.Series, error) {
	return m.series, nil
}

// BenchmarkConcerns is what it takes to find out what rules concern, for 10,000
// series, as every question does for each unit that the rules reach into.
func BenchmarkConcerns(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	series := make([]query.Series, 10_000)
	for i := range series {
		series[i] = query.Series{Rows: uint32(i), Labels: labels.FromStrings(
			profile.LabelName, "process_cpu", profile.LabelServiceName, fmt.Sprintf("service-%d", i%50), "pod", fmt.Sprintf("pod-%d", i), "env", "prod")}
	}
	for _, n := range []int{1, 10, 100, 1000} {
		var rules deletion.Rules
		for range n {
			rules = append(rules, deletion.Rule{
				Matchers: []*labels.Matcher{equals(profile.LabelServiceName, fmt.Sprintf("service-%d", rng.IntN(100))), labels.MustNewMatcher(labels.MatchRegexp, "pod", "pod-[0-9]")},
				Range:    profile.TimeRange{Start: 0, End: 500},
			})
		}
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			for range b.N {
				u := &many{series: series}
				got, err := rules.Over([]query.Queryable{u})[0].Select(ctx)
				require.NoError(b, err)
				require.Len(b, got, len(series))
			}
		})
	}
}
