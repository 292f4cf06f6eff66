package question

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func TestMergeOfCounts(t *testing.T) {
	a := &Answer{Counts: []query.ServiceCount{
		{Service: "api", Profiles: 3, First: 10, Last: 30, Series: []uint64{1, 5}},
		{Service: "web", Profiles: 1, First: 7, Last: 7, Series: []uint64{9}},
	}}
	b := &Answer{Counts: []query.ServiceCount{{Service: "api", Profiles: 2, First: -5, Last: 20, Series: []uint64{2, 5}}, {Service: "db"}}}
	got, err := Merge(&Question{Kind: Count}, []*Answer{a, b, {}})
	require.NoError(t, err)
	require.Equal(t, []query.ServiceCount{
		{Service: "api", Profiles: 5, First: -5, Last: 30, Series: []uint64{1, 2, 5}},
		{Service: "web", Profiles: 1, First: 7, Last: 7, Series: []uint64{9}},
	}, got.Counts)
	require.Equal(t, []uint64{1, 5}, a.Counts[0].Series, "parts stay as they are")
	require.Equal(t, "db", b.Counts[1].Service)
	none, err := Merge(&Question{Kind: Count}, nil)
	require.NoError(t, err)
	require.Equal(t, &Answer{}, none)
}

// Questions that sum carry the rules of their time, listings all of them.
func TestExcluding(t *testing.T) {
	rules := deletion.Rules{{Range: profile.TimeRange{Start: 0, End: 9}}, {Range: profile.TimeRange{Start: 10, End: 20}}, {Range: profile.TimeRange{Start: 21, End: 30}}}
	q := &Question{Kind: Count, Matchers: [][]*labels.Matcher{nil}, Range: profile.TimeRange{Start: 15, End: 18}}
	got := q.Excluding(rules)
	require.Equal(t, rules[1:2], got.Without)
	require.Nil(t, q.Without)
	require.Equal(t, q.Range, got.Range)
	got = (&Question{Kind: Types, Range: q.Range}).Excluding(rules)
	require.Equal(t, rules, got.Without)
}
