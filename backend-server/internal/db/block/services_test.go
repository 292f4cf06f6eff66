package block_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func TestMayMatch(t *testing.T) {
	is := func(how labels.MatchType, name, value string) *labels.Matcher {
		return labels.MustNewMatcher(how, name, value)
	}
	service := profile.LabelServiceName
	m := &block.Meta{Services: []string{"api", "web"}}
	for _, c := range []struct {
		matchers []*labels.Matcher
		may      bool
	}{
		{nil, true},
		{[]*labels.Matcher{is(labels.MatchEqual, service, "web")}, true},
		{[]*labels.Matcher{is(labels.MatchEqual, service, "db")}, false},
		{[]*labels.Matcher{is(labels.MatchEqual, service, "")}, false},
		{[]*labels.Matcher{is(labels.MatchRegexp, service, "w.*|x")}, true},
		{[]*labels.Matcher{is(labels.MatchRegexp, service, "x|y")}, false},
		{[]*labels.Matcher{is(labels.MatchNotEqual, service, "web")}, true},
		{[]*labels.Matcher{is(labels.MatchNotRegexp, service, ".+")}, false},
		{[]*labels.Matcher{is(labels.MatchEqual, "pod", "db")}, true},
		{[]*labels.Matcher{is(labels.MatchEqual, service, "web"), is(labels.MatchNotEqual, service, "web")}, false},
	} {
		require.Equal(t, c.may, m.MayMatch(c.matchers), c.matchers)
	}
	require.True(t, new(block.Meta).MayMatch([]*labels.Matcher{is(labels.MatchEqual, service, "db")}), "services are not known")
}

func TestServicesOfTheMetaFile(t *testing.T) {
	p := flat([]string{"main"})
	p.Values = []int64{1}
	var recs []profile.Record
	var names []string
	for i := range 1001 {
		names = append(names, fmt.Sprintf("service-%04d", i))
		recs = append(recs, record(i+1, names[i], &p))
	}
	b, _ := written(t, recs[:1000])
	require.Equal(t, names[:1000], b.Meta().Services)
	many, _ := written(t, recs)
	require.Nil(t, many.Meta().Services)
	require.True(t, many.Meta().MayMatch([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, "other")}))
}
