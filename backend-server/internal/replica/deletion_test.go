package replica_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// delete adds a rule or takes one back, and looks at the version of the data
// before and after.
func (w *world) delete() string {
	q := w.question()
	before, old := w.truth(q), w.rules
	r := read(w.t, w.stores(), q, w.move)
	version := r.answer().Version
	r.close()
	if len(w.rules) > 0 && w.rng.IntN(3) == 0 && !w.erases {
		w.rules = slices.Delete(slices.Clone(w.rules), 0, 1)
	} else {
		w.rules = append(slices.Clone(w.rules), w.rule())
	}
	w.listings()
	if q.Selection.Type == dbtest.Types[4] || q.Selection.Type == dbtest.Types[5] {
		return "delete" // what there is of running totals depends on who answers
	}
	after := w.truth(q)
	if now := w.again(q.Excluding(w.rules), after).Version; !equal(before, after) {
		w.counts["less or more"]++
		require.NotEqual(w.t, version, now, "rules %v, then %v", old, w.rules)
	}
	require.Equal(w.t, version, w.again(q, w.withRules(old, func() any { return w.truth(q) })).Version, "the rules from before")
	return "delete"
}

// withRules asks the twin something as if other rules were in force.
func (w *world) withRules(rules deletion.Rules, ask func() any) any {
	now := w.rules
	defer func() { w.rules = now }()
	w.rules = rules
	return ask()
}

func (w *world) rule() deletion.Rule {
	r := deletion.Rule{ID: ulid.Make(), Range: w.timeRange(w.rng), Matchers: w.matchers()}
	for range w.rng.IntN(3) {
		if ms := w.matchers(); len(ms) > 0 {
			r.Except = append(r.Except, ms)
		}
	}
	switch w.rng.IntN(4) {
	case 0:
		r.Range.Start = deletion.BeginningOfTime
	case 1:
		r.Range.End = -deletion.BeginningOfTime
	}
	return r
}

func (w *world) matchers() []*labels.Matcher {
	return [][]*labels.Matcher{
		nil,
		{labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, dbtest.Services[w.rng.IntN(len(dbtest.Services))])},
		{labels.MustNewMatcher(labels.MatchNotRegexp, "pod", "pod-[01]"), labels.MustNewMatcher(labels.MatchNotEqual, "unknown", "x")},
		{labels.MustNewMatcher(labels.MatchEqual, profile.LabelName, "memory")},
		{labels.MustNewMatcher(labels.MatchEqual, "pod", "pod-1"), labels.MustNewMatcher(labels.MatchRegexp, profile.LabelServiceName, "w.*|db")},
	}[w.rng.IntN(5)]
}

// listings compares what is listed with what there is, for all times.
func (w *world) listings() {
	ms := w.matchers()
	q := (&question.Question{Kind: question.LabelSets, Matchers: [][]*labels.Matcher{ms}}).Excluding(w.rules)
	listed := map[string]bool{}
	for _, s := range w.stores() {
		a, err := s.List(context.Background(), "tenant", q)
		require.NoError(w.t, err)
		for _, ls := range a.Sets {
			listed[ls.String()] = true
		}
	}
	may, must := w.twin.LabelSets(ms)
	for ls := range must {
		if strings.Contains(ls, `__type__="alloc_`) { // what grew depends on which copies got lost
			continue
		}
		require.Contains(w.t, listed, ls, "rules %v", w.rules)
	}
	for ls := range listed {
		require.Contains(w.t, may, ls)
	}
}

// undigested is a unit that has no digests ready, as blocks of earlier versions.
type undigested struct{ query.Queryable }

// What is remembered of a block is good for the rules that it was read under.
func TestDigestsAreRememberedByRules(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1, map[string]int{})
	defer w.close()
	n := w.nodes[0]
	for range 50 {
		require.Nil(t, n.db.Append(ctx, []profile.Record{w.gen.Record()}))
	}
	w.flush(n)
	v := n.db.View(everTime)
	defer v.Release()
	require.NotEmpty(t, v.Units)
	units := make([]query.Queryable, len(v.Units))
	for i, u := range v.Units {
		units[i] = undigested{u}
	}
	half := profile.TimeRange{Start: start, End: start + profile.UnixMilli(w.gen.Length/2)}
	shown := func(d *replica.Digester, rules deletion.Rules) []replica.Unit {
		s, err := d.Take(ctx, rules.Over(units), replica.Selection{Range: everTime})
		require.NoError(t, err)
		return s.Units()
	}
	kept := replica.NewDigester(1 << 20)
	for _, rules := range []deletion.Rules{nil, {{Range: half}}, {w.rule()}, nil, {{Range: half}}} {
		require.Equal(t, shown(replica.NewDigester(0), rules), shown(kept, rules), "%v", rules)
	}
	require.NotEqual(t, shown(kept, nil), shown(kept, deletion.Rules{{Range: half}}))
}

var everTime = profile.TimeRange{Start: 0, End: start * 2}
