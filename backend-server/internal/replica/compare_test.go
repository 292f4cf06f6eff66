package replica_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// view shows what a database has.
func (n *node) view(_ context.Context, _ string, r profile.TimeRange) ([]query.Queryable, func(), error) {
	v := n.db.View(r)
	return v.Units, v.Release, nil
}

// several shows what all of views show.
func several(views []replica.View) replica.View {
	return func(ctx context.Context, tenantID string, q *question.Question) ([]query.Queryable, func(), error) {
		var all []query.Queryable
		var held []func()
		for _, view := range views {
			units, release, err := view(ctx, tenantID, q)
			if err != nil {
				return nil, nil, err
			}
			all, held = append(all, units...), append(held, release)
		}
		return all, func() {
			for _, release := range held {
				release()
			}
		}, nil
	}
}

// stores are those that a reader asks: all but one database, and the bucket.
// Now and then several are in one process.
func (w *world) stores() []replica.Store {
	leave := w.lost
	if leave == nil && w.rng.IntN(2) == 0 {
		leave = w.someNode()
	}
	var views []replica.View
	for _, n := range w.nodes {
		if n != leave {
			views = append(views, replica.ByRange(n.view))
		}
	}
	w.rng.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
	views = append(views, replica.ByRange(w.gateway))
	if w.rng.IntN(4) == 0 {
		at := w.rng.IntN(len(views))
		views = append(slices.Clone(views[:at]), several(views[at:]))
	}
	out := make([]replica.Store, len(views))
	for i, v := range views {
		out[i] = replica.NewLocal(v, w.engine, w.digester)
	}
	return out
}

// reading is a question that is being answered.
type reading struct {
	t        testing.TB
	q        *question.Question
	sessions []replica.Session
}

// read opens sessions, and calls between before each.
func read(t testing.TB, stores []replica.Store, q *question.Question, between func()) *reading {
	r := &reading{t: t, q: q}
	for _, s := range stores {
		between()
		session, err := s.Open(context.Background(), "tenant", q)
		require.NoError(t, err)
		r.sessions = append(r.sessions, session)
	}
	return r
}

// answer settles what is taken from whom and asks for it. Messages go through
// their encodings.
func (r *reading) answer() *question.Answer {
	ctx := context.Background()
	shown := make([][]replica.Unit, len(r.sessions))
	for i, s := range r.sessions {
		units, err := replica.DecodeUnits(replica.AppendUnits(nil, replica.Newest, s.Units()))
		require.NoError(r.t, err)
		shown[i] = units
	}
	choice := replica.NewChoice(shown)
	if refs := choice.Ask(); refs != nil {
		rows := make([][][]replica.Row, len(refs))
		for i := range refs {
			some, err := replica.DecodeRefs(replica.AppendRefs(nil, refs[i]))
			require.NoError(r.t, err)
			lists, err := r.sessions[i].Rows(ctx, some)
			require.NoError(r.t, err)
			rows[i], err = replica.DecodeRows(replica.AppendRows(nil, replica.Newest, lists))
			require.NoError(r.t, err)
		}
		choice.Tell(rows)
	}
	var parts []*question.Answer
	for i, picks := range choice.Picks() {
		some, err := replica.DecodePicks(replica.AppendPicks(nil, picks))
		require.NoError(r.t, err)
		a, err := r.sessions[i].Ask(ctx, some)
		require.NoError(r.t, err)
		parts = append(parts, a)
	}
	out, err := question.Merge(r.q, parts)
	require.NoError(r.t, err)
	out.Version.Hi, out.Version.Lo = choice.Version()
	return out
}

func (r *reading) close() {
	for _, s := range r.sessions {
		s.Close()
	}
}

// flat is an answer that can be compared.
func flat(q *question.Question, a *question.Answer) any {
	switch q.Kind {
	case question.Tree:
		return dbtest.FlattenTree(a.Tree)
	case question.Profile:
		return dbtest.FlattenProfile(a.Profile)
	}
	return dbtest.FlattenSeries(a.Series.Build(0), q.GroupBy)
}

// truth is what flat should be.
func (w *world) truth(q *question.Question) any {
	switch q.Kind {
	case question.Tree:
		return w.twin.Tree(q.Selection)
	case question.Profile:
		return w.twin.Profile(q.Selection)
	}
	return w.twin.Series(q.SeriesSelection())
}

// compare asks a question, holds the answer to the twin's, and asks again when
// the same data lies elsewhere, and when there is more of it.
func (w *world) compare() {
	q := w.question()
	exact := w.counters || q.Selection.Type != dbtest.Types[4] && q.Selection.Type != dbtest.Types[5]
	want := w.truth(q)
	r := read(w.t, w.stores(), q, w.move)
	defer r.close()
	if w.rng.IntN(3) == 0 { // the sessions do not notice (C2)
		w.append()
	}
	w.move()
	got := r.answer()
	if !exact {
		require.Equal(w.t, flat(q, got), flat(q, r.answer()), "the same sessions, %+v", q)
		w.bound(q, got)
		return
	}
	require.Equal(w.t, want, flat(q, got), "%s of %+v", q.Kind, q)
	w.counts[q.Kind.String()]++

	r.close()
	now := w.truth(q)
	moved := w.again(q, now)
	if w.rng.IntN(2) == 0 {
		w.keep()
	}
	require.Equal(w.t, moved.Version, w.again(q, now).Version, "the same data, %+v", q)
	w.append()
	if later := w.truth(q); !equal(now, later) {
		w.counts["more"]++
		require.NotEqual(w.t, moved.Version, w.again(q, later).Version, "more data, %+v", q)
	}
}

// bound makes sure that nothing of a running total is counted twice.
func (w *world) bound(q *question.Question, a *question.Answer) {
	sel, sum := q.Selection, int64(0)
	switch q.Kind {
	case question.Tree:
		sum = a.Tree.Total()
	case question.Profile:
		for _, v := range dbtest.FlattenProfile(a.Profile) {
			sum += v
		}
	default:
		sel = q.SeriesSelection().Selection
		for _, v := range dbtest.FlattenSeries(a.Series.Build(0), q.GroupBy) {
			sum += v
		}
	}
	require.LessOrEqual(w.t, sum, w.twin.Most(sel), "%s of %+v", q.Kind, q)
	w.counts["bound"]++
}

// move has data go where it is asked for later, now and then: what a head has
// shown is in a block then, or in the bucket alone.
func (w *world) move() {
	if w.rng.IntN(6) == 0 {
		n := w.someNode()
		w.flush(n)
		w.ship(n)
		w.drop(n)
	}
	if w.rng.IntN(12) == 0 {
		w.compact(nil)
	}
}

func equal(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) } // maps are printed in order

// again asks anew.
func (w *world) again(q *question.Question, want any) *question.Answer {
	r := read(w.t, w.stores(), q, w.move)
	defer r.close()
	a := r.answer()
	require.Equal(w.t, want, flat(q, a), "%s of %+v", q.Kind, q)
	return a
}

// question draws a question that sums.
func (w *world) question() *question.Question {
	q := &question.Question{Kind: question.Kind(1 + w.rng.IntN(3)), Selection: w.selection()}
	if q.Kind == question.Series {
		q.Selection.ProfileIDs = nil // time series know no such selection
		q.GroupBy = [][]string{nil, {"pod", "service_name"}}[w.rng.IntN(2)]
		q.Grid = series.Grid{Start: q.Selection.Range.Start, End: q.Selection.Range.End, StepMillis: []int64{600_000, 300_000, 1_234_567}[w.rng.IntN(3)]}
	}
	return q.Excluding(w.rules)
}

func (w *world) selection() query.Selection {
	sel := query.Selection{Type: dbtest.Types[w.rng.IntN(len(dbtest.Types))], Range: w.timeRange(w.rng)}
	if w.rng.IntN(2) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchEqual, profile.LabelServiceName, dbtest.Services[w.rng.IntN(len(dbtest.Services))]))
	}
	if w.rng.IntN(4) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchRegexp, "pod", "pod-[01]"))
	}
	if w.rng.IntN(5) == 0 {
		sel.Matchers = append(sel.Matchers, labels.MustNewMatcher(labels.MatchNotEqual, "pod", "pod-2"))
	}
	if w.rng.IntN(5) == 0 {
		sel.CallSite = []string{fmt.Sprintf("fn%d", w.rng.IntN(12))}
	}
	if w.rng.IntN(6) == 0 {
		sel.Spans = dbtest.Spans[:1+w.rng.IntN(2)]
	}
	if rec, ok := w.someRecord(); ok && w.rng.IntN(10) == 0 {
		sel.ProfileIDs = []uint64{head.Key(&rec), w.rng.Uint64()}
	}
	return sel
}

func (w *world) timeRange(rng *rand.Rand) profile.TimeRange {
	a, b := start+profile.UnixMilli(rng.Int64N(w.gen.Length)), start+profile.UnixMilli(rng.Int64N(w.gen.Length))
	r := profile.TimeRange{Start: min(a, b), End: max(a, b)}
	grain := []profile.UnixMilli{query.SumWindow, replica.Window}[rng.IntN(2)]
	switch rng.IntN(4) {
	case 0:
		return profile.TimeRange{Start: start, End: start + profile.UnixMilli(w.gen.Length)}
	case 1: // whole windows
		r.Start -= r.Start % grain
		r.End += grain - 1 - r.End%grain
	case 2: // a millisecond off
		r.Start -= r.Start%grain + profile.UnixMilli(rng.IntN(3)-1)
		r.End -= r.End%grain + profile.UnixMilli(rng.IntN(3)-1)
	}
	return r
}
