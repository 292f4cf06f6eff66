package deletion

import (
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// BeginningOfTime is before the time of every profile.
const BeginningOfTime profile.UnixMilli = -1 << 60

// Rule says that profiles are deleted: those whose series all Matchers match,
// and none of the lists of Except, and whose time lies in Range; whenever they
// arrive. Rules are not changed once they are passed on.
type Rule struct {
	ID       ulid.ULID
	Matchers []*labels.Matcher   // none matches every series
	Except   [][]*labels.Matcher // series that all of any list match are not concerned
	Range    profile.TimeRange
	Created  time.Time
	Reason   string
}

// Rules are all that is deleted: a profile is if one of them says so.
type Rules []Rule

// shared are the labels in which series differ that may have the same rows.
var shared = []string{profile.LabelProfileType, profile.LabelType, profile.LabelUnit}

// Check returns an error of kind Invalid if the rule cannot be one.
func (r *Rule) Check() error {
	if r.Range.Start > r.Range.End {
		return fault.New(fault.Invalid, "start %d is after end %d", r.Range.Start, r.Range.End)
	}
	if r.Range.Start < BeginningOfTime || r.Range.End > -BeginningOfTime {
		return fault.New(fault.Invalid, "the range from %d to %d reaches beyond %d milliseconds", r.Range.Start, r.Range.End, -BeginningOfTime)
	}
	for _, ms := range append([][]*labels.Matcher{r.Matchers}, r.Except...) {
		if err := CheckMatchers(ms); err != nil {
			return err
		}
	}
	return nil
}

// CheckMatchers returns an error of kind Invalid if rules cannot have matchers.
func CheckMatchers(ms []*labels.Matcher) error {
	for _, m := range ms {
		if slices.Contains(shared, m.Name) {
			return fault.New(fault.Invalid, "the selector has a matcher on %s; the sample types of a profile are deleted together: select by __name__, service_name or other labels", m.Name)
		}
	}
	return nil
}

// Concerns reports whether the rule is about a series.
func (r *Rule) Concerns(ls labels.Labels) bool {
	return matches(ls, r.Matchers) && !slices.ContainsFunc(r.Except, func(ms []*labels.Matcher) bool { return matches(ls, ms) })
}

func matches(ls labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// everything reports whether the rule is about all series.
func (r *Rule) everything() bool { return len(r.Matchers) == 0 && len(r.Except) == 0 }

// byService returns the indices of the rules that name one service, by service,
// and of the others. With many rules, most are about services that a series is
// not of.
func (rs Rules) byService() (of map[string][]int, others []int) {
	of = map[string][]int{}
	for i := range rs {
		at := slices.IndexFunc(rs[i].Matchers, func(m *labels.Matcher) bool {
			return m.Type == labels.MatchEqual && m.Name == profile.LabelServiceName
		})
		if at < 0 {
			others = append(others, i)
		} else {
			name := rs[i].Matchers[at].Value
			of[name] = append(of[name], i)
		}
	}
	return of, others
}

// Deletes reports whether a profile of a series at a time is deleted.
func (rs Rules) Deletes(ls labels.Labels, t profile.UnixMilli) bool {
	return slices.ContainsFunc(rs, func(r Rule) bool { return r.Range.Contains(t) && r.Concerns(ls) })
}

// In returns the rules that profiles of a range can be concerned by.
func (rs Rules) In(in profile.TimeRange) Rules {
	var out Rules
	for _, r := range rs {
		if r.Range.Overlaps(in) {
			out = append(out, r)
		}
	}
	return out
}

// Selector writes matchers as text.
func Selector(ms []*labels.Matcher) string {
	parts := make([]string, len(ms))
	for i, m := range ms {
		parts[i] = m.String()
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
