package asked

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

var cpu = profile.Type{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"}

func matcher(t labels.MatchType, name, value string) *labels.Matcher {
	return labels.MustNewMatcher(t, name, value)
}

func selection() query.Selection {
	return query.Selection{
		Type: cpu, Range: profile.TimeRange{Start: 1000, End: 9999},
		Matchers: []*labels.Matcher{
			matcher(labels.MatchEqual, "a", "1"), matcher(labels.MatchNotEqual, "b", ""),
			matcher(labels.MatchRegexp, "c.d", "x|y.*"), matcher(labels.MatchNotRegexp, "e", "[0-9]+"),
		},
	}
}

// questions returns one of every kind, and such as differ in what is easily lost.
func questions() []*question.Question {
	narrow := selection()
	narrow.CallSite, narrow.Spans, narrow.ProfileIDs = []string{"main", "not UTF-8 \xff"}, []uint64{1, 1 << 63}, []uint64{7}
	empty := selection()
	empty.CallSite, empty.Spans, empty.ProfileIDs = []string{}, []uint64{}, []uint64{}
	sets := [][]*labels.Matcher{nil, selection().Matchers}
	r := profile.TimeRange{Start: 0, End: 253_402_300_799_999}
	return []*question.Question{
		{Kind: question.Tree, Selection: selection()},
		{Kind: question.Tree, Selection: narrow, WantVersion: true, Known: question.Version{Hi: 1 << 63, Lo: 5}},
		{Kind: question.Profile, Selection: empty, WantVersion: true},
		{Kind: question.Series, Selection: selection(), Grid: series.Grid{Start: 1000, End: 9000, StepMillis: 1000}, GroupBy: []string{"z", "a"}, Average: true},
		{Kind: question.Series, Selection: query.Selection{Type: cpu}, Grid: series.Grid{Start: 1000, End: 1000, StepMillis: 1}},
		{Kind: question.LabelNames, Matchers: sets, Range: r},
		{Kind: question.LabelValues, Label: "service_name"},
		{Kind: question.LabelSets, Matchers: [][]*labels.Matcher{nil}, Names: []string{"a", "b"}, Range: r},
		{Kind: question.Types, Range: r},
		{Kind: question.Stats},
		{Kind: question.Analyze, Matchers: sets[1:]},
		{Kind: question.Count, Matchers: sets[1:], Range: r},
		{Kind: question.Tree, Selection: selection(), Without: rules()},
		{Kind: question.Types, Range: r, Without: rules()[1:]},
	}
}

// requireSame compares questions by all they hold; matchers by their text.
func requireSame(t *testing.T, want, got *question.Question) {
	t.Helper()
	texts := func(q *question.Question) (out []string) {
		for _, ms := range append([][]*labels.Matcher{q.Selection.Matchers}, q.Matchers...) {
			out = append(out, fmt.Sprintf("%d %v", len(ms), ms))
		}
		return out
	}
	require.Equal(t, texts(want), texts(got))
	a, b := *want, *got
	a.Selection.Matchers, b.Selection.Matchers, a.Matchers, b.Matchers = nil, nil, nil, nil
	requireSameRules(t, a.Without, b.Without)
	a.Without, b.Without = nil, nil
	require.Equal(t, a, b)
}

func TestQuestionsAreTheSame(t *testing.T) {
	for _, want := range questions() {
		b, err := MarshalQuestion(want)
		require.NoError(t, err)
		got, err := UnmarshalQuestion(b)
		require.NoError(t, err)
		requireSame(t, want, got)
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	with := func(change func(*hearthv1.Question)) *hearthv1.Question {
		q := EncodeQuestion(questions()[1])
		change(q)
		return q
	}
	newer := []byte{0xf8, 0x07, 1} // field 127
	for name, c := range map[string]struct {
		q    *hearthv1.Question
		kind fault.Kind
		want string
	}{
		"no kind":      {with(func(q *hearthv1.Question) { q.Kind = 0 }), fault.Unimplemented, "kind 0"},
		"kind":         {with(func(q *hearthv1.Question) { q.Kind = 11 }), fault.Unimplemented, "kind 11"},
		"large kind":   {with(func(q *hearthv1.Question) { q.Kind = 257 }), fault.Unimplemented, "kind 257"},
		"field":        {with(func(q *hearthv1.Question) { q.ProtoReflect().SetUnknown(newer) }), fault.Unimplemented, "parts in Question"},
		"inner field":  {with(func(q *hearthv1.Question) { q.Selection.ProtoReflect().SetUnknown(newer) }), fault.Unimplemented, "parts in Selection"},
		"matcher part": {with(func(q *hearthv1.Question) { q.Selection.Matchers.List[1].ProtoReflect().SetUnknown(newer) }), fault.Unimplemented, "parts in Matcher"},
		"matcher":      {with(func(q *hearthv1.Question) { q.Selection.Matchers.List[0].Type = 5 }), fault.Unimplemented, "matchers of type 5"},
		"no matcher":   {with(func(q *hearthv1.Question) { q.Selection.Matchers.List[0].Type = 0 }), fault.Unimplemented, "matchers of type 0"},
		"regexp":       {with(func(q *hearthv1.Question) { q.Selection.Matchers.List[2].Value = []byte("(") }), fault.Invalid, `label "c.d"`},
		"time":         {with(func(q *hearthv1.Question) { q.Selection.Range.End = 1<<60 + 1 }), fault.Invalid, "limit 1152921504606846976"},
		"step":         {with(func(q *hearthv1.Question) { q.Kind, q.Grid = 3, &hearthv1.Grid{} }), fault.Invalid, "step of the series is 0"},
	} {
		b, err := proto.Marshal(c.q)
		require.NoError(t, err)
		_, err = UnmarshalQuestion(b)
		require.Equal(t, c.kind, fault.KindOf(err), name)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := DecodeQuestion(nil)
	require.True(t, fault.Is(err, fault.Unimplemented))
	_, err = UnmarshalQuestion([]byte{1, 2, 3})
	require.True(t, fault.Is(err, fault.Corrupt))
}

// answer returns an answer to q.
func answer(q *question.Question) *question.Answer {
	a := &question.Answer{}
	switch q.Kind {
	case question.Tree:
		a.Tree = tree.New()
		a.Tree.Saturated = true
		a.Tree.Add(a.Tree.Child(a.Tree.Child(tree.Root, a.Tree.Name("main")), tree.Remainder), 5)
		a.Version = question.Version{Hi: 1, Lo: 2}
	case question.Profile:
		a.Profile = merged(3)
	case question.Series:
		a.Series = series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation())
		for i := range 600 {
			ls := labels.FromStrings("a", strings.Repeat("x", i%3), "q", "y")
			a.Series.Add(ls, q.Grid.End-profile.UnixMilli(i*37%9000), int64(i))
		}
	case question.LabelNames, question.LabelValues:
		a.Texts = []string{"a", "not UTF-8 \xff"}
	case question.LabelSets:
		a.Sets = []labels.Labels{labels.FromStrings("a", "1", "b", "2"), labels.FromStrings("b", "\xff")}
	case question.Types:
		a.Types = []profile.Type{cpu, {Name: "memory"}}
	case question.Stats:
		a.Stats = query.Stats{Ingested: true, Oldest: -5, Newest: 1 << 50}
	case question.Analyze:
		a.Impact = query.Impact{Series: 1, Profiles: 2, Samples: 3, Bytes: 1 << 63}
	}
	return a
}

// merged is a profile of n stacks, and one without frames, that has more
// symbols than they need.
func merged(n int) *profile.Profile {
	p := &profile.Profile{
		Types: []profile.ValueType{{Type: "cpu", Unit: "ns"}}, Period: 5, TimeNanos: 7,
		Strings: []string{"", "f0", "file"}, Mappings: []profile.Mapping{{}, {Start: 1, Limit: 2, File: 2, HasFunctions: true}},
		LabelSets: [][]profile.LabelPair{nil},
	}
	for i := range 100 {
		p.Strings = append(p.Strings, fmt.Sprintf("f%d", i+1))
		p.Functions = append(p.Functions, profile.Function{Name: uint32(len(p.Strings) - 1), Filename: 2, StartLine: int64(i)})
		p.Lines = append(p.Lines, profile.Line{Function: uint32(i), Line: int64(10 * i)})
		p.Locations = append(p.Locations, profile.Location{Mapping: 1, Address: uint64(i), LineStart: uint32(i), LineEnd: uint32(i + 1)})
	}
	for i := range n {
		p.Frames = append(p.Frames, uint32(99-i), 50, 3)
		p.Samples = append(p.Samples, profile.Sample{FrameStart: uint32(3 * i), FrameEnd: uint32(3*i + 3)})
		p.Values = append(p.Values, int64(i+1))
	}
	p.Samples = append(p.Samples, profile.Sample{FrameStart: uint32(3 * n), FrameEnd: uint32(3 * n)})
	p.Values = append(p.Values, 1000)
	return p
}

// stacks returns the samples of a merged profile as text.
func stacks(p *profile.Profile) map[string]int64 {
	out := map[string]int64{}
	for i, s := range p.Samples {
		var text []string
		for _, f := range p.Frames[s.FrameStart:s.FrameEnd] {
			l := p.Locations[f]
			m := p.Mappings[l.Mapping]
			for _, line := range p.Lines[l.LineStart:l.LineEnd] {
				fn := p.Functions[line.Function]
				text = append(text, fmt.Sprintf("%s:%s:%d:%d@%d/%s", p.Strings[fn.Name], p.Strings[fn.Filename], fn.StartLine, line.Line, l.Address, p.Strings[m.File]))
			}
		}
		out[strings.Join(text, " ")] += p.Values[i]
	}
	return out
}

func TestAnswersAreTheSame(t *testing.T) {
	for _, q := range questions() {
		want := answer(q)
		b, err := MarshalAnswer(q.Kind, want)
		require.NoError(t, err, q.Kind)
		got, err := UnmarshalAnswer(q, b)
		require.NoError(t, err, q.Kind)
		again, err := MarshalAnswer(q.Kind, got)
		require.NoError(t, err, q.Kind)
		require.Equal(t, b, again, q.Kind)
		switch q.Kind {
		case question.Tree:
			require.Equal(t, want.Tree.AppendPacked(nil), got.Tree.AppendPacked(nil))
			require.Equal(t, want.Version, got.Version)
		case question.Profile:
			require.Equal(t, stacks(want.Profile), stacks(got.Profile))
			require.Len(t, got.Profile.Functions, 5, "only symbols in use travel")
		case question.Series:
			require.Equal(t, want.Series.Build(0), got.Series.Build(0))
		default:
			require.Equal(t, want, got)
		}
	}
}

func TestAnswerThatIsUnchanged(t *testing.T) {
	q := questions()[0]
	b, err := MarshalAnswer(q.Kind, &question.Answer{Unchanged: true, Version: question.Version{Hi: 1, Lo: 2}})
	require.NoError(t, err)
	got, err := UnmarshalAnswer(q, b)
	require.NoError(t, err)
	require.Equal(t, &question.Answer{Unchanged: true, Version: question.Version{Hi: 1, Lo: 2}}, got)
}

func TestAnswersThatDoNotFit(t *testing.T) {
	for _, asked := range questions() {
		for _, q := range questions() {
			b, err := MarshalAnswer(q.Kind, answer(q))
			require.NoError(t, err)
			_, err = UnmarshalAnswer(asked, b)
			texts := asked.Kind == question.LabelNames || asked.Kind == question.LabelValues
			if q.Kind == asked.Kind || q.Kind == question.LabelValues && texts || q.Kind == question.LabelNames && texts {
				continue
			}
			require.True(t, fault.Is(err, fault.Corrupt), "%s for %s: %v", q.Kind, asked.Kind, err)
		}
		_, err := UnmarshalAnswer(asked, nil)
		require.ErrorContains(t, err, "it has <nil> instead of "+asked.Kind.String())
		_, err = DecodeAnswer(asked, nil)
		require.Error(t, err)
	}
	_, err := MarshalAnswer(question.Tree, &question.Answer{})
	require.ErrorContains(t, err, "there is no tree in it")
	_, err = MarshalAnswer(77, &question.Answer{})
	require.True(t, fault.Is(err, fault.Unimplemented))
}

// TestMergedPartsAreTheWhole: answers cut into parts, sent and merged are what
// one answer to all would be.
func TestMergedPartsAreTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	q := questions()[3]
	tq, pq := questions()[0], questions()[2]
	whole := &question.Answer{Series: series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation()), Tree: tree.New()}
	wholeStacks := map[string]int64{}
	var sums, trees, profiles []*question.Answer
	send := func(q *question.Question, a *question.Answer) *question.Answer {
		b, err := MarshalAnswer(q.Kind, a)
		require.NoError(t, err)
		got, err := UnmarshalAnswer(q, b)
		require.NoError(t, err)
		return got
	}
	for range 5 {
		part := &question.Answer{Series: series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation()), Tree: tree.New(), Profile: merged(r.IntN(9))}
		for range 300 {
			ls, at, v := labels.FromStrings("a", fmt.Sprint(r.IntN(3))), profile.UnixMilli(1+r.IntN(9000)), r.Int64N(1000)
			part.Series.Add(ls, at, v)
			whole.Series.Add(ls, at, v)
			name := fmt.Sprint(r.IntN(20))
			for _, t := range []*tree.Tree{part.Tree, whole.Tree} {
				t.Add(t.Child(tree.Root, t.Name(name)), v)
			}
		}
		for stack, v := range stacks(part.Profile) {
			wholeStacks[stack] += v
		}
		sums, trees, profiles = append(sums, send(q, part)), append(trees, send(tq, part)), append(profiles, send(pq, part))
	}
	got, err := question.Merge(q, sums)
	require.NoError(t, err)
	require.Equal(t, whole.Series.Build(0), got.Series.Build(0))
	got, err = question.Merge(tq, trees)
	require.NoError(t, err)
	require.Equal(t, whole.Tree.Functions(), got.Tree.Functions())
	got, err = question.Merge(pq, profiles)
	require.NoError(t, err)
	require.Equal(t, wholeStacks, stacks(got.Profile))
	require.Len(t, got.Profile.Samples, len(wholeStacks), "equal stacks are one sample")
}

func FuzzDecodeQuestion(f *testing.F) {
	for _, q := range questions() {
		b, err := MarshalQuestion(q)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := UnmarshalQuestion(b)
		if err != nil {
			return
		}
		again, err := MarshalQuestion(q)
		require.NoError(t, err)
		same, err := UnmarshalQuestion(again)
		require.NoError(t, err)
		requireSame(t, q, same)
		_ = q.Interval()
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	list := questions()
	for i, q := range list {
		b, err := MarshalAnswer(q.Kind, answer(q))
		require.NoError(f, err)
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		q := list[int(which)%len(list)]
		a, err := UnmarshalAnswer(q, b)
		if err != nil || a.Unchanged {
			return
		}
		_, err = question.Merge(q, []*question.Answer{a, a})
		require.NoError(t, err)
		again, err := MarshalAnswer(q.Kind, a)
		require.NoError(t, err)
		_, err = UnmarshalAnswer(q, again)
		require.NoError(t, err)
	})
}
