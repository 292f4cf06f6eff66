package asked

import (
	"time"

	"github.com/oklog/ulid/v2"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// EncodeRules returns what is deleted as messages. Times are cut to milliseconds.
func EncodeRules(rules deletion.Rules) []*hearthv1.Deletion {
	var out []*hearthv1.Deletion
	for i := range rules {
		r := &rules[i]
		m := &hearthv1.Deletion{
			Id: r.ID[:], Matchers: encodeMatchers(r.Matchers), Range: encodeRange(r.Range),
			Created: r.Created.UnixMilli(), Reason: []byte(r.Reason),
		}
		for _, ms := range r.Except {
			m.Except = append(m.Except, encodeMatchers(ms))
		}
		out = append(out, m)
	}
	return out
}

// DecodeRules reads what EncodeRules has made. A rule that has a part which this
// version does not know is refused: read without it, it would delete something
// else.
func DecodeRules(list []*hearthv1.Deletion) (deletion.Rules, error) {
	var out deletion.Rules
	for _, m := range list {
		r, err := decodeRule(m)
		if err != nil {
			return nil, err
		}
		out = append(out, *r)
	}
	return out, nil
}

func decodeRule(m *hearthv1.Deletion) (*deletion.Rule, error) {
	if field := unknown(m.ProtoReflect()); field != "" {
		return nil, unimplemented("a deletion has parts in %s that this version does not know", field)
	}
	r := &deletion.Rule{Created: time.UnixMilli(m.GetCreated()), Reason: string(m.GetReason())}
	if len(m.GetId()) != len(r.ID) {
		return nil, invalid("the ID of a deletion has %d bytes; it must have %d", len(m.GetId()), len(r.ID))
	}
	r.ID = ulid.ULID(m.GetId())
	var err error
	if r.Matchers, err = decodeMatchers(m.GetMatchers()); err != nil {
		return nil, err
	}
	for _, list := range m.GetExcept() {
		ms, err := decodeMatchers(list)
		if err != nil {
			return nil, err
		}
		r.Except = append(r.Except, ms)
	}
	if err := decodeRange(m.GetRange(), &r.Range); err != nil {
		return nil, err
	}
	return r, r.Check()
}

func encodeCounts(counts []query.ServiceCount) *hearthv1.Counts {
	out := &hearthv1.Counts{}
	for _, c := range counts {
		out.List = append(out.List, &hearthv1.ServiceCount{
			Service: []byte(c.Service), Profiles: c.Profiles, First: int64(c.First), Last: int64(c.Last), Series: c.Series,
		})
	}
	return out
}

func decodeCounts(m *hearthv1.Counts) []query.ServiceCount {
	var out []query.ServiceCount
	for _, c := range m.GetList() {
		out = append(out, query.ServiceCount{
			Service: string(c.GetService()), Profiles: c.GetProfiles(), Series: c.GetSeries(),
			First: profile.UnixMilli(c.GetFirst()), Last: profile.UnixMilli(c.GetLast()),
		})
	}
	return query.MergeCounts(out)
}
