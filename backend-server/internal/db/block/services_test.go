package block_test

import (
	"fmt"
	"testing"
	"testing/synctest"

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

// Who asks for a small service does not read the symbols of a large one, be it
// before or behind.
func TestSmallServicesAreNotReadWithALargeOne(t *testing.T) {
	named := func(prefix string, n int) *profile.Profile {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("%s.function%d", prefix, i*7919%1_000_003)
		}
		p := flat(names)
		for range names {
			p.Values = append(p.Values, 1)
		}
		return &p
	}
	small, large := named("small", 10), named("large", 20_000)
	_, dir := written(t, []profile.Record{record(1, "a", small), record(2, "b", large), record(3, "c", small)})
	reads := func(partition uint32) (n int64) {
		synctest.Test(t, func(t *testing.T) {
			units, sources := farBlocks(t, dir, 1)
			_, err := units[0].Select(t.Context()) // the tail is read
			require.NoError(t, err)
			n = -sources[0].bytes
			_, err = units[0].Symbols(t.Context(), partition)
			require.NoError(t, err)
			n += sources[0].bytes
		})
		return n
	}
	require.Greater(t, reads(1), int64(20_000))
	require.Less(t, reads(0), int64(2_000))
	require.Less(t, reads(2), int64(2_000))
}
