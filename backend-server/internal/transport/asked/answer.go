package asked

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// EncodeAnswer returns the answer to a question of a kind as a message, which
// shares nothing with it that changes.
func EncodeAnswer(kind question.Kind, a *question.Answer) (*hearthv1.Answer, error) {
	out := &hearthv1.Answer{Version: encodeVersion(a.Version), Unchanged: a.Unchanged}
	if a.Unchanged {
		return out, nil
	}
	missing := false
	switch kind {
	case question.Tree:
		if missing = a.Tree == nil; !missing {
			out.Body = &hearthv1.Answer_Tree{Tree: a.Tree.AppendPacked(nil)}
		}
	case question.Profile:
		if missing = a.Profile == nil; !missing {
			out.Body = &hearthv1.Answer_Profile{Profile: encodeProfile(a.Profile)}
		}
	case question.Series:
		if missing = a.Series == nil; !missing {
			out.Body = &hearthv1.Answer_Series{Series: encodeSeries(a.Series)}
		}
	case question.LabelNames, question.LabelValues:
		out.Body = &hearthv1.Answer_Texts{Texts: &hearthv1.Texts{List: encodeTexts(a.Texts)}}
	case question.LabelSets:
		sets := &hearthv1.LabelSets{}
		for _, ls := range a.Sets {
			sets.List = append(sets.List, encodeLabels(ls))
		}
		out.Body = &hearthv1.Answer_Sets{Sets: sets}
	case question.Types:
		types := &hearthv1.ProfileTypes{}
		for _, t := range a.Types {
			types.List = append(types.List, encodeType(t))
		}
		out.Body = &hearthv1.Answer_Types{Types: types}
	case question.Stats:
		out.Body = &hearthv1.Answer_Stats{Stats: &hearthv1.Stats{Ingested: a.Stats.Ingested, Oldest: int64(a.Stats.Oldest), Newest: int64(a.Stats.Newest)}}
	case question.Analyze:
		out.Body = &hearthv1.Answer_Impact{Impact: &hearthv1.Impact{Series: a.Impact.Series, Profiles: a.Impact.Profiles, Samples: a.Impact.Samples, Bytes: a.Impact.Bytes}}
	case question.Count:
		out.Body = &hearthv1.Answer_Counts{Counts: encodeCounts(a.Counts)}
	default:
		return nil, unimplemented("answers to questions of kind %d have no encoding", kind)
	}
	if missing {
		return nil, fmt.Errorf("encode answer: there is no %s in it", kind)
	}
	return out, nil
}

// encodeProfile encodes the samples of a merged profile, which may come with
// the symbols of a whole service, with no more than they need.
func encodeProfile(p *profile.Profile) []byte {
	bare := *query.Lean(p)
	bare.Types = make([]profile.ValueType, 1)
	bare.PeriodType, bare.Period, bare.TimeNanos, bare.DurationNanos = profile.ValueType{}, 0, 0, 0
	return flat.AppendProfile(nil, &bare)
}

func encodeSeries(b *series.Builder) *hearthv1.SeriesGroups {
	out := &hearthv1.SeriesGroups{}
	for ls, cells := range b.Cells() {
		g := &hearthv1.SeriesGroup{
			Labels: encodeLabels(ls),
			Steps:  make([]int64, len(cells)), Sums: make([]int64, len(cells)), Counts: make([]int64, len(cells)),
		}
		before := int64(0)
		for i, c := range cells {
			g.Steps[i], g.Sums[i], g.Counts[i] = c.Index-before, c.Sum, c.Count
			before = c.Index
		}
		out.List = append(out.List, g)
	}
	return out
}

func encodeLabels(ls labels.Labels) *hearthv1.Labels {
	out := &hearthv1.Labels{}
	ls.Range(func(l labels.Label) { out.Pairs = append(out.Pairs, []byte(l.Name), []byte(l.Value)) })
	return out
}

func corrupt(format string, args ...any) error {
	return fault.New(fault.Corrupt, "encoded answer: "+format, args...)
}

// DecodeAnswer reads the answer to q.
func DecodeAnswer(q *question.Question, m *hearthv1.Answer) (*question.Answer, error) {
	a := &question.Answer{Version: decodeVersion(m.GetVersion()), Unchanged: m.GetUnchanged()}
	if a.Unchanged {
		return a, nil
	}
	fits := true
	var err error
	switch q.Kind {
	case question.Tree:
		_, fits = m.GetBody().(*hearthv1.Answer_Tree)
		if fits {
			a.Tree, err = tree.Unpack(m.GetTree())
		}
	case question.Profile:
		_, fits = m.GetBody().(*hearthv1.Answer_Profile)
		if fits {
			a.Profile, err = decodeProfile(m.GetProfile())
		}
	case question.Series:
		_, fits = m.GetBody().(*hearthv1.Answer_Series)
		if fits {
			a.Series, err = decodeSeries(q, m.GetSeries())
		}
	default:
		fits, err = decodeListing(q.Kind, m, a)
	}
	if !fits {
		return nil, corrupt("it has %T instead of %s", m.GetBody(), q.Kind)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// decodeListing reads the answers of the kinds that sum no samples.
func decodeListing(kind question.Kind, m *hearthv1.Answer, a *question.Answer) (fits bool, err error) {
	switch body := m.GetBody().(type) {
	case *hearthv1.Answer_Texts:
		a.Texts = decodeTexts(body.Texts.GetList())
		return kind == question.LabelNames || kind == question.LabelValues, nil
	case *hearthv1.Answer_Sets:
		for _, set := range body.Sets.GetList() {
			ls, err := decodeLabels(set)
			if err != nil {
				return true, err
			}
			a.Sets = append(a.Sets, ls)
		}
		return kind == question.LabelSets, nil
	case *hearthv1.Answer_Types:
		for _, t := range body.Types.GetList() {
			a.Types = append(a.Types, decodeType(t))
		}
		return kind == question.Types, nil
	case *hearthv1.Answer_Stats:
		s := body.Stats
		a.Stats = query.Stats{Ingested: s.GetIngested(), Oldest: profile.UnixMilli(s.GetOldest()), Newest: profile.UnixMilli(s.GetNewest())}
		return kind == question.Stats, nil
	case *hearthv1.Answer_Impact:
		i := body.Impact
		a.Impact = query.Impact{Series: i.GetSeries(), Profiles: i.GetProfiles(), Samples: i.GetSamples(), Bytes: i.GetBytes()}
		return kind == question.Analyze, nil
	case *hearthv1.Answer_Counts:
		a.Counts = decodeCounts(body.Counts)
		return kind == question.Count, nil
	}
	return false, nil
}

func decodeProfile(b []byte) (*profile.Profile, error) {
	p, err := flat.DecodeProfile(b)
	if err != nil {
		return nil, err
	}
	if len(p.Types) != 1 {
		return nil, corrupt("the profile has %d sample types; it must have 1", len(p.Types))
	}
	return p, nil
}

func decodeSeries(q *question.Question, m *hearthv1.SeriesGroups) (*series.Builder, error) {
	b := series.NewBuilder(q.Grid, q.GroupBy, q.Aggregation())
	var cells []series.Cell
	for _, g := range m.GetList() {
		ls, err := decodeLabels(g.GetLabels())
		if err != nil {
			return nil, err
		}
		if n := len(g.GetSteps()); n != len(g.GetSums()) || n != len(g.GetCounts()) {
			return nil, corrupt("a series of %d points has %d sums of %d", n, len(g.GetSums()), len(g.GetCounts()))
		}
		cells = cells[:0]
		at := int64(0)
		for i, step := range g.GetSteps() {
			at += step
			cells = append(cells, series.Cell{Index: at, Sum: g.GetSums()[i], Count: g.GetCounts()[i]})
		}
		if err := b.AddCells(ls, cells); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// mostLabel bounds a label's name and value, in bytes: a label set cannot hold
// longer ones.
const mostLabel = 1 << 20

func decodeLabels(m *hearthv1.Labels) (labels.Labels, error) {
	pairs := m.GetPairs()
	if len(pairs)%2 != 0 {
		return labels.EmptyLabels(), corrupt("a label set has %d names and values", len(pairs))
	}
	b := labels.NewScratchBuilder(len(pairs) / 2)
	for i := 0; i < len(pairs); i += 2 {
		if n := max(len(pairs[i]), len(pairs[i+1])); n > mostLabel {
			return labels.EmptyLabels(), corrupt("a label has %d bytes; limit %d", n, mostLabel)
		}
		b.Add(string(pairs[i]), string(pairs[i+1]))
	}
	b.Sort()
	return b.Labels(), nil
}

// MarshalAnswer is EncodeAnswer to bytes.
func MarshalAnswer(kind question.Kind, a *question.Answer) ([]byte, error) {
	m, err := EncodeAnswer(kind, a)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(m)
}

// UnmarshalAnswer is DecodeAnswer from bytes.
func UnmarshalAnswer(q *question.Question, b []byte) (*question.Answer, error) {
	m := new(hearthv1.Answer)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, corrupt("%w", err)
	}
	return DecodeAnswer(q, m)
}
