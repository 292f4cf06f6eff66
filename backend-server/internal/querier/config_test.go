package querier

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/memory"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

func TestMemoryOfAQuery(t *testing.T) {
	var c Config
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	c.RegisterFlags(fs)
	require.InDelta(t, float64(memory.Limit()/4), float64(c.MaxQueryBytes), 1<<20)
	require.Empty(t, c.Validate())
	require.NoError(t, fs.Parse([]string{"-querier.max-query-bytes=0"}))
	require.Empty(t, c.Validate())
	require.Zero(t, c.limits().QueryBytes, "no limit")
	c.MaxQueryBytes = -1
	require.Len(t, c.Validate(), 1)
	require.ErrorContains(t, c.Validate()[0], "querier.max-query-bytes")

	typ, err := profile.ParseType(cpu)
	require.NoError(t, err)
	sel := query.Selection{Type: typ, Range: profile.TimeRange{Start: 100, End: 200}}
	q := New(NewAlone(NewEngine(Config{MaxQueryBytes: 1}), replica.ByRange((&store{units: []query.Queryable{head(1)}}).view)))
	_, err = q.Ask(anonymous(), &question.Question{Kind: question.Tree, Selection: sel})
	require.True(t, fault.Is(err, fault.TooLarge), "%v", err)
	_, err = q.Ask(anonymous(), &question.Question{Kind: question.Profile, Selection: sel})
	require.True(t, fault.Is(err, fault.TooLarge), "%v", err)
}
