package deletion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// version is that of the objects of this package. A reader refuses others, and
// fields that it does not know: a rule read without a part of it deletes
// something else.
const version = 1

// object is what all objects have.
type object struct {
	Version int `json:"version"`
}

// storedRule is a Rule as JSON.
type storedRule struct {
	ID       ulid.ULID         `json:"id"`
	Matchers []storedMatcher   `json:"matchers"`
	Except   [][]storedMatcher `json:"except,omitempty"`
	Start    int64             `json:"start"` // milliseconds since the epoch, both included
	End      int64             `json:"end"`
	Created  time.Time         `json:"created"`
	Reason   string            `json:"reason,omitempty"`
}

type storedMatcher struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (r *Rule) stored() (*storedRule, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	out := &storedRule{
		ID: r.ID, Start: int64(r.Range.Start), End: int64(r.Range.End), Created: r.Created.UTC(), Reason: r.Reason,
	}
	var err error
	if out.Matchers, err = storeMatchers(r.Matchers); err != nil {
		return nil, err
	}
	for _, ms := range r.Except {
		list, err := storeMatchers(ms)
		if err != nil {
			return nil, err
		}
		out.Except = append(out.Except, list)
	}
	return out, nil
}

func storeMatchers(ms []*labels.Matcher) ([]storedMatcher, error) {
	out := make([]storedMatcher, len(ms))
	for i, m := range ms {
		if !utf8.ValidString(m.Name) || !utf8.ValidString(m.Value) {
			return nil, fault.New(fault.Invalid, "the matcher %s is not UTF-8", m)
		}
		out[i] = storedMatcher{m.Type.String(), m.Name, m.Value}
	}
	return out, nil
}

func (s *storedRule) rule() (*Rule, error) {
	r := &Rule{
		ID: s.ID, Created: s.Created, Reason: s.Reason,
		Range: profile.TimeRange{Start: profile.UnixMilli(s.Start), End: profile.UnixMilli(s.End)},
	}
	if s.Matchers == nil { // [] is every series
		return nil, fmt.Errorf("it has no list of matchers")
	}
	var err error
	if r.Matchers, err = readMatchers(s.Matchers); err != nil {
		return nil, err
	}
	for _, list := range s.Except {
		ms, err := readMatchers(list)
		if err != nil {
			return nil, err
		}
		r.Except = append(r.Except, ms)
	}
	return r, r.Check()
}

var matchTypes = map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}

func readMatchers(list []storedMatcher) ([]*labels.Matcher, error) {
	var out []*labels.Matcher
	for _, s := range list {
		t, ok := matchTypes[s.Type]
		if !ok {
			return nil, fmt.Errorf("there are no matchers of type %q", s.Type)
		}
		m, err := labels.NewMatcher(t, s.Name, s.Value)
		if err != nil {
			return nil, fmt.Errorf("matcher of label %q: %w", s.Name, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// decode reads an object into v. What is wrong with it is Corrupt, a version
// that is not known Unimplemented.
func decode(raw []byte, v any) error {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return fault.Mark(fault.Corrupt, err)
	}
	if o.Version != version {
		return fault.New(fault.Unimplemented, "it is of version %d; this process knows version %d", o.Version, version)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return fault.Mark(fault.Corrupt, d.Decode(v))
}

// ruleObject is what is stored of a deletion.
type ruleObject struct {
	object
	*storedRule
}

// MarshalRule returns a rule as the object that is stored.
func MarshalRule(r *Rule) ([]byte, error) {
	s, err := r.stored()
	if err != nil {
		return nil, err
	}
	return json.Marshal(ruleObject{object{version}, s})
}

// UnmarshalRule reads what MarshalRule has made.
func UnmarshalRule(raw []byte) (*Rule, error) {
	o := ruleObject{storedRule: new(storedRule)}
	if err := decode(raw, &o); err != nil {
		return nil, err
	}
	r, err := o.rule()
	if err != nil {
		return nil, fault.Mark(fault.Corrupt, err)
	}
	return r, nil
}
