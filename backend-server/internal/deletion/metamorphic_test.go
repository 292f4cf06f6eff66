package deletion_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

const (
	begin  = profile.UnixMilli(1_700_000_000_000)
	length = 3 * 3_600_000
)

var firstSeed = flag.Uint64("deletion.seed", 1, "first seed of TestAnswersAreThoseOfWhatIsLeft; 0 draws one")

var always = profile.TimeRange{Start: begin, End: begin + length}

func openDB(t *testing.T) *db.DB {
	d, err := db.Open(ctx, "data/tenant", db.Options{FS: vfs.NewMem(), MaxBlockDuration: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// A database under rules answers every question as one that was never given what
// they delete, whether it lies in heads or in blocks.
func TestAnswersAreThoseOfWhatIsLeft(t *testing.T) {
	first, seeds := dbtest.Seed(t, "deletion.seed", *firstSeed), uint64(40)
	if testing.Short() { // under the race detector, where it is slow
		seeds = 5
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5))
			gen := &dbtest.Generator{Rng: rng, Start: begin, Length: length, Varied: true}
			all, left := openDB(t), openDB(t)
			var rules deletion.Rules
			for range 1 + rng.IntN(3) {
				rules = append(rules, dbRule(rng))
			}
			for i := range 150 {
				rec := gen.Record()
				require.Nil(t, all.Append(ctx, []profile.Record{rec}))
				if ls := profile.TypeLabels(rec.Labels, rec.Profile.Types[0], rec.Profile.PeriodType); !rules.Deletes(ls, rec.Time) {
					require.Nil(t, left.Append(ctx, []profile.Record{rec}))
				}
				if i%50 == 49 && rng.IntN(2) == 0 {
					require.NoError(t, all.Flush(ctx))
				}
			}
			for range 30 {
				q := anyQuestion(rng)
				require.Equal(t, answer(t, left, nil, q), answer(t, all, rules, q), "%s of %+v under %v", q.Kind, q, rules)
			}
		})
	}
}

func dbRule(rng *rand.Rand) deletion.Rule {
	r := deletion.Rule{Range: dbRange(rng)}
	service := equals(profile.LabelServiceName, dbtest.Services[rng.IntN(len(dbtest.Services))])
	switch rng.IntN(4) {
	case 0:
		r.Matchers = []*labels.Matcher{service}
	case 1:
		r.Matchers = []*labels.Matcher{equals(profile.LabelName, "memory"), labels.MustNewMatcher(labels.MatchRegexp, "pod", "pod-[01]")}
	case 2:
		r.Except = [][]*labels.Matcher{{service}, {equals("pod", "pod-1")}}
	}
	if rng.IntN(3) == 0 {
		r.Range.Start = deletion.BeginningOfTime
	}
	return r
}

func dbRange(rng *rand.Rand) profile.TimeRange {
	grain := []profile.UnixMilli{1, query.SumWindow, query.DigestWindow}[rng.IntN(3)]
	a, b := begin+profile.UnixMilli(rng.Int64N(length)), begin+profile.UnixMilli(rng.Int64N(length))
	r := profile.TimeRange{Start: min(a, b), End: max(a, b)}
	return profile.TimeRange{Start: r.Start - r.Start%grain, End: r.End - r.End%grain + grain - 1}
}

func anyQuestion(rng *rand.Rand) *question.Question {
	q := &question.Question{Kind: question.Kind(1 + rng.IntN(int(question.Count)))}
	if q.Kind.Sums() {
		q.Range = dbRange(rng)
	}
	q.Selection = query.Selection{Type: dbtest.Types[rng.IntN(4)], Range: q.Range}
	q.Grid = series.Grid{Start: q.Range.Start, End: max(q.Range.Start, q.Range.End), StepMillis: 600_000}
	q.GroupBy = []string{"pod"}
	q.Label = profile.LabelServiceName
	if rng.IntN(2) == 0 && q.Kind != question.Stats {
		q.Matchers = [][]*labels.Matcher{{equals("pod", "pod-1")}}
		q.Selection.Matchers = q.Matchers[0]
	}
	return q
}

// answer asks a database under rules, and returns what can be compared.
func answer(t *testing.T, d *db.DB, rules deletion.Rules, q *question.Question) any {
	v := d.View(always)
	defer v.Release()
	units := rules.Over(v.Units)
	if !q.Kind.Sums() {
		units = rules.Listed(v.Units, q.Range)
	}
	a, err := question.Over(ctx, query.NewEngine(query.Limits{}), "tenant", units, q)
	require.NoError(t, err)
	switch q.Kind {
	case question.Tree:
		return dbtest.FlattenTree(a.Tree)
	case question.Profile:
		return dbtest.FlattenProfile(a.Profile)
	case question.Series:
		return dbtest.FlattenSeries(a.Series.Build(0), q.GroupBy)
	case question.Stats: // a unit's range may be wider than what is left of it
		return a.Stats.Ingested
	case question.Analyze: // a series counts for each unit that has it
		a.Impact.Series = 0
	}
	return a
}
