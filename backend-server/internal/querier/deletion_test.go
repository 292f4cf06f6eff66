package querier

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// Rules are those of the moment and of the tenant, and every kind of question
// follows them, versions as well.
func TestAloneWithoutWhatIsDeleted(t *testing.T) {
	s := &store{units: []query.Queryable{block("a", 1, 0), block("b", 2, 0)}}
	var rules deletion.Rules
	q := New(NewAlone(NewEngine(Config{}), replica.ByRange(s.view)).Without(func(tenantID string) deletion.Rules {
		require.Equal(t, "t", tenantID)
		return rules
	}))
	ask := func(what question.Question) *question.Answer {
		got, err := q.Ask(tenant.With(t.Context(), "t"), &what)
		require.NoError(t, err)
		require.Zero(t, s.open)
		return got
	}
	r := profile.TimeRange{Start: 1, End: 1000}
	typ, err := profile.ParseType(cpu)
	require.NoError(t, err)
	samples := question.Question{Kind: question.Tree, Selection: query.Selection{Type: typ, Range: r}}
	versioned := samples
	versioned.WantVersion = true
	names := question.Question{Kind: question.LabelValues, Label: "unit", Range: r}
	counted := question.Question{Kind: question.Count, Range: r}

	require.EqualValues(t, 2, ask(samples).Tree.Total())
	before := ask(versioned).Version
	require.EqualValues(t, 2, ask(counted).Counts[0].Profiles)
	require.Len(t, ask(counted).Counts[0].Series, 2)

	rules = deletion.Rules{{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "unit", "a")}, Range: r}}
	require.EqualValues(t, 1, ask(samples).Tree.Total())
	require.Equal(t, []string{"b"}, ask(names).Texts)
	require.EqualValues(t, 1, ask(counted).Counts[0].Profiles)
	versioned.Known = before
	after := ask(versioned)
	require.False(t, after.Unchanged)
	require.NotEqual(t, before, after.Version)

	rules = deletion.Rules{{Range: r}}
	require.Zero(t, ask(samples).Tree.Total())
	require.Empty(t, ask(names).Texts)
	require.Empty(t, ask(counted).Counts)
	require.False(t, ask(question.Question{Kind: question.Stats, Range: r}).Stats.Ingested)

	rules = nil
	require.True(t, ask(versioned).Unchanged, "taken back")
}
