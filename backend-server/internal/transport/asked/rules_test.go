package asked

import (
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

func rules() deletion.Rules {
	return deletion.Rules{
		{
			ID: ulid.ULID{1, 2, 3}, Matchers: selection().Matchers, Range: profile.TimeRange{Start: 5, End: 10},
			Except:  [][]*labels.Matcher{{matcher(labels.MatchEqual, "env", "prod")}, selection().Matchers},
			Created: time.UnixMilli(1_700_000_000_123), Reason: "asked for, not UTF-8 \xff",
		},
		{ID: ulid.ULID{4}, Range: profile.TimeRange{Start: deletion.BeginningOfTime, End: 7}, Created: time.UnixMilli(0)},
	}
}

// requireSameRules compares rules by all they hold; matchers by their text.
func requireSameRules(t *testing.T, want, got deletion.Rules) {
	t.Helper()
	text := func(rules deletion.Rules) (out []string) {
		for _, r := range rules {
			out = append(out, fmt.Sprintf("%s %v %v %v %d %q", r.ID, r.Matchers, r.Except, r.Range, r.Created.UnixMilli(), r.Reason))
		}
		return out
	}
	require.Equal(t, text(want), text(got))
}

func TestRulesThatCannotBeReadAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*hearthv1.Deletion)
		kind   fault.Kind
		want   string
	}{
		"id":      {func(m *hearthv1.Deletion) { m.Id = []byte("short") }, fault.Invalid, "has 5 bytes; it must have 16"},
		"newer":   {func(m *hearthv1.Deletion) { m.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 1}) }, fault.Unimplemented, "parts in Deletion"},
		"matcher": {func(m *hearthv1.Deletion) { m.Matchers.List[0].Type = 9 }, fault.Unimplemented, "matchers of type 9"},
		"except":  {func(m *hearthv1.Deletion) { m.Except[1].List[2].Value = []byte("(") }, fault.Invalid, `label "c.d"`},
		"range":   {func(m *hearthv1.Deletion) { m.Range.End = 4 }, fault.Invalid, "start 5 is after end 4"},
		"time":    {func(m *hearthv1.Deletion) { m.Range.End = 1<<60 + 1 }, fault.Invalid, "limit"},
		"label":   {func(m *hearthv1.Deletion) { m.Except[0].List[0].Name = []byte(profile.LabelType) }, fault.Invalid, "__type__"},
	} {
		list := EncodeRules(rules())
		c.change(list[0])
		_, err := DecodeRules(list)
		require.Equal(t, c.kind, fault.KindOf(err), name)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := DecodeRules([]*hearthv1.Deletion{nil})
	require.ErrorContains(t, err, "has 0 bytes")
}

func TestCountsAreTheSame(t *testing.T) {
	want := &question.Answer{Counts: []query.ServiceCount{
		{Service: "a\xff", Profiles: 3, First: -5, Last: 8, Series: []uint64{1, 1 << 63}},
		{Service: "b", Profiles: 1, First: 7, Last: 7, Series: []uint64{5}},
	}}
	b, err := MarshalAnswer(question.Count, want)
	require.NoError(t, err)
	got, err := UnmarshalAnswer(&question.Question{Kind: question.Count}, b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = UnmarshalAnswer(&question.Question{Kind: question.Analyze}, b)
	require.ErrorContains(t, err, "instead of analyze")
}

func FuzzRules(f *testing.F) {
	for i := range rules() {
		b, err := proto.Marshal(&hearthv1.Question{Without: EncodeRules(rules()[i : i+1])})
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(hearthv1.Question)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		got, err := DecodeRules(m.GetWithout())
		if err != nil {
			return
		}
		again, err := DecodeRules(EncodeRules(got))
		require.NoError(t, err)
		requireSameRules(t, got, again)
		for _, r := range got {
			require.NoError(t, r.Check())
			r.Concerns(labels.FromStrings("a", "b"))
		}
	})
}
