// Package asked turns questions of the read path and their answers into
// messages and back.
//
// Invariants:
//
//	A1  what is decoded is what was encoded, down to the difference between a
//	    list without entries and none at all, which selections depend on;
//	A2  a question that has a kind or a field that this process does not know is
//	    refused as unimplemented: answered without it, the answer would be
//	    another one's. Of answers, what is not known is left out;
//	A3  whatever a message holds, decoding fails with an error or returns
//	    something that can be worked with, and takes memory in proportion to the
//	    message.
package asked

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/prometheus/prometheus/model/labels"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// EncodeQuestion returns q as a message. It shares the texts of q.
func EncodeQuestion(q *question.Question) *hearthv1.Question {
	out := &hearthv1.Question{
		Kind:        uint32(q.Kind),
		WantVersion: q.WantVersion,
		Known:       encodeVersion(q.Known),
		Without:     EncodeRules(q.Without),
	}
	switch q.Kind {
	case question.Tree, question.Profile:
		out.Selection = encodeSelection(&q.Selection)
	case question.Series:
		out.Selection = encodeSelection(&q.Selection)
		out.Grid = &hearthv1.Grid{Start: int64(q.Grid.Start), End: int64(q.Grid.End), StepMillis: q.Grid.StepMillis}
		out.GroupBy, out.Average = encodeTexts(q.GroupBy), q.Average
	default:
		for _, ms := range q.Matchers {
			out.Matchers = append(out.Matchers, encodeMatchers(ms))
		}
		out.Range = encodeRange(q.Range)
		out.Label, out.Names = []byte(q.Label), encodeTexts(q.Names)
	}
	return out
}

func encodeSelection(s *query.Selection) *hearthv1.Selection {
	out := &hearthv1.Selection{Type: encodeType(s.Type), Matchers: encodeMatchers(s.Matchers), Range: encodeRange(s.Range)}
	if s.CallSite != nil {
		out.CallSite = &hearthv1.Texts{List: encodeTexts(s.CallSite)}
	}
	if s.Spans != nil {
		out.Spans = &hearthv1.IDs{List: s.Spans}
	}
	if s.ProfileIDs != nil {
		out.Profiles = &hearthv1.IDs{List: s.ProfileIDs}
	}
	return out
}

func encodeRange(r profile.TimeRange) *hearthv1.TimeRange {
	return &hearthv1.TimeRange{Start: int64(r.Start), End: int64(r.End)}
}

func encodeType(t profile.Type) *hearthv1.ProfileType {
	return &hearthv1.ProfileType{
		Name: []byte(t.Name), SampleType: []byte(t.SampleType), SampleUnit: []byte(t.SampleUnit),
		PeriodType: []byte(t.PeriodType), PeriodUnit: []byte(t.PeriodUnit),
	}
}

// matchTypes are the types of matchers by their numbers on the wire; 0 is none.
var matchTypes = [...]labels.MatchType{1: labels.MatchEqual, 2: labels.MatchNotEqual, 3: labels.MatchRegexp, 4: labels.MatchNotRegexp}

func encodeMatchers(ms []*labels.Matcher) *hearthv1.Matchers {
	out := &hearthv1.Matchers{}
	for _, m := range ms {
		number := uint32(0)
		for i, t := range matchTypes {
			if i > 0 && t == m.Type {
				number = uint32(i)
			}
		}
		out.List = append(out.List, &hearthv1.Matcher{Type: number, Name: []byte(m.Name), Value: []byte(m.Value)})
	}
	return out
}

func encodeVersion(v question.Version) *hearthv1.Version {
	if v == (question.Version{}) {
		return nil
	}
	return &hearthv1.Version{Hi: v.Hi, Lo: v.Lo}
}

func encodeTexts(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

func unimplemented(format string, args ...any) error {
	return fault.New(fault.Unimplemented, format, args...)
}

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// DecodeQuestion reads what EncodeQuestion has made, perhaps that of another
// version.
func DecodeQuestion(m *hearthv1.Question) (*question.Question, error) {
	if field := unknown(m.ProtoReflect()); field != "" {
		return nil, unimplemented("the question has parts in %s that this version does not know", field)
	}
	q := &question.Question{Kind: question.Kind(m.GetKind()), WantVersion: m.GetWantVersion(), Known: decodeVersion(m.GetKnown())}
	var err error
	if q.Without, err = DecodeRules(m.GetWithout()); err != nil {
		return nil, err
	}
	switch {
	case m.GetKind() < uint32(question.Tree) || m.GetKind() > uint32(question.Count):
		return nil, unimplemented("this version does not know questions of kind %d", m.GetKind())
	case q.Kind == question.Tree || q.Kind == question.Profile:
		return q, decodeSelection(m.GetSelection(), &q.Selection)
	case q.Kind == question.Series:
		if err := decodeSelection(m.GetSelection(), &q.Selection); err != nil {
			return nil, err
		}
		q.GroupBy, q.Average = decodeTexts(m.GetGroupBy()), m.GetAverage()
		return q, decodeGrid(m.GetGrid(), &q.Grid)
	}
	for _, list := range m.GetMatchers() {
		ms, err := decodeMatchers(list)
		if err != nil {
			return nil, err
		}
		q.Matchers = append(q.Matchers, ms)
	}
	q.Label, q.Names = string(m.GetLabel()), decodeTexts(m.GetNames())
	return q, decodeRange(m.GetRange(), &q.Range)
}

// unknown returns the name of a message, m or one in it, with fields that are
// not known, or "".
func unknown(m protoreflect.Message) (name string) {
	if len(m.GetUnknown()) > 0 {
		return string(m.Descriptor().Name())
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Kind() != protoreflect.MessageKind:
		case field.IsList():
			for i := 0; i < v.List().Len() && name == ""; i++ {
				name = unknown(v.List().Get(i).Message())
			}
		default:
			name = unknown(v.Message())
		}
		return name == ""
	})
	return name
}

func decodeSelection(m *hearthv1.Selection, s *query.Selection) (err error) {
	s.Type = decodeType(m.GetType())
	if s.Matchers, err = decodeMatchers(m.GetMatchers()); err != nil {
		return err
	}
	if m.GetCallSite() != nil {
		s.CallSite = append([]string{}, decodeTexts(m.GetCallSite().GetList())...)
	}
	if m.GetSpans() != nil {
		s.Spans = append([]uint64{}, m.GetSpans().GetList()...)
	}
	if m.GetProfiles() != nil {
		s.ProfileIDs = append([]uint64{}, m.GetProfiles().GetList()...)
	}
	return decodeRange(m.GetRange(), &s.Range)
}

func decodeMatchers(m *hearthv1.Matchers) ([]*labels.Matcher, error) {
	var out []*labels.Matcher
	for _, one := range m.GetList() {
		if n := one.GetType(); n == 0 || n >= uint32(len(matchTypes)) {
			return nil, unimplemented("this version does not know matchers of type %d", n)
		}
		decoded, err := labels.NewMatcher(matchTypes[one.GetType()], string(one.GetName()), string(one.GetValue()))
		if err != nil {
			return nil, invalid("matcher of label %q: %w", one.GetName(), err)
		}
		out = append(out, decoded)
	}
	return out, nil
}

// mostTime bounds times and steps, so that no sum of some leaves 64 bits.
const mostTime = 1 << 60

func decodeRange(m *hearthv1.TimeRange, r *profile.TimeRange) error {
	r.Start, r.End = profile.UnixMilli(m.GetStart()), profile.UnixMilli(m.GetEnd())
	return checkTimes(m.GetStart(), m.GetEnd())
}

func checkTimes(start, end int64) error {
	if start < -mostTime || start > mostTime || end < -mostTime || end > mostTime {
		return invalid("the question is about times from %d to %d; limit %d", start, end, int64(mostTime))
	}
	return nil
}

func decodeGrid(m *hearthv1.Grid, g *series.Grid) error {
	g.Start, g.End, g.StepMillis = profile.UnixMilli(m.GetStart()), profile.UnixMilli(m.GetEnd()), m.GetStepMillis()
	if g.StepMillis < 1 || g.StepMillis > mostTime {
		return invalid("the step of the series is %d ms; it must be from 1 to %d", g.StepMillis, int64(mostTime))
	}
	return checkTimes(m.GetStart(), m.GetEnd())
}

func decodeType(m *hearthv1.ProfileType) profile.Type {
	return profile.Type{
		Name: string(m.GetName()), SampleType: string(m.GetSampleType()), SampleUnit: string(m.GetSampleUnit()),
		PeriodType: string(m.GetPeriodType()), PeriodUnit: string(m.GetPeriodUnit()),
	}
}

func decodeVersion(m *hearthv1.Version) question.Version {
	return question.Version{Hi: m.GetHi(), Lo: m.GetLo()}
}

// decodeTexts returns nil for none.
func decodeTexts(list [][]byte) []string {
	var out []string
	for _, b := range list {
		out = append(out, string(b))
	}
	return out
}

// MarshalQuestion is EncodeQuestion to bytes.
func MarshalQuestion(q *question.Question) ([]byte, error) { return proto.Marshal(EncodeQuestion(q)) }

// UnmarshalQuestion is DecodeQuestion from bytes.
func UnmarshalQuestion(b []byte) (*question.Question, error) {
	m := new(hearthv1.Question)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fault.New(fault.Corrupt, "encoded question: %w", err)
	}
	return DecodeQuestion(m)
}
