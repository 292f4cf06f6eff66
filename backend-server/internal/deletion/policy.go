package deletion

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/selector"
)

// Policy says how long profiles of a tenant are kept. The first of Keep that
// matches a series decides, else Period.
type Policy struct {
	Period   time.Duration // 0 is for ever
	Keep     []Keep
	MaxBytes int64 // what the tenant may take of the bucket; 0 is any
}

// Keep says how long the profiles of some series are kept.
type Keep struct {
	Matchers []*labels.Matcher
	Period   time.Duration // 0 is for ever
}

// ParseKeep reads a rule such as {env="prod"}=1y.
func ParseKeep(s string) (Keep, error) {
	at := strings.LastIndexByte(s, '}')
	text, found := strings.CutPrefix(strings.TrimSpace(s[at+1:]), "=")
	if at < 0 || !found {
		return Keep{}, fmt.Errorf(`%q is no rule: it must be a selector and a time, such as {env="prod"}=1y`, s)
	}
	ms, err := selector.Parse(s[:at+1])
	if err != nil {
		return Keep{}, err
	}
	if err := CheckMatchers(ms); err != nil {
		return Keep{}, err
	}
	period, err := ParsePeriod(text)
	return Keep{ms, period}, err
}

// String returns what ParseKeep reads.
func (k Keep) String() string { return Selector(k.Matchers) + "=" + FormatPeriod(k.Period) }

// hour is what cutoffs are rounded down to, and the shortest time that profiles
// may be kept: what a reader has worked out is good until a cutoff moves.
const hour = time.Hour

// longUnits are those that Go's durations lack.
var longUnits = []struct {
	suffix string
	length time.Duration
}{{"y", 365 * 24 * hour}, {"w", 7 * 24 * hour}, {"d", 24 * hour}}

// ParsePeriod reads how long profiles are kept: a number of hours or more such
// as 36h, 30d, 2w or 1y, or 0 for ever.
func ParsePeriod(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	d, err := time.ParseDuration(s)
	for _, u := range longUnits {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			n, numberErr := strconv.ParseUint(number, 10, 16)
			if d, err = time.Duration(n)*u.length, numberErr; d/u.length != time.Duration(n) {
				err = strconv.ErrRange
			}
		}
	}
	if err != nil || d < 0 || d > 0 && d < hour {
		return 0, fmt.Errorf("%q is no time to keep profiles; it must be %s or more, such as 36h, 30d or 1y, or 0 for ever", s, FormatPeriod(hour))
	}
	return d, nil
}

// FormatPeriod returns what ParsePeriod reads.
func FormatPeriod(d time.Duration) string {
	for _, u := range longUnits {
		if d > 0 && d%u.length == 0 {
			return strconv.FormatInt(int64(d/u.length), 10) + u.suffix
		}
	}
	switch {
	case d == 0:
		return "0"
	case d%hour == 0:
		return strconv.FormatInt(int64(d/hour), 10) + "h"
	}
	return d.String()
}

// Rules returns what is too old at a time, as rules with an end at a full hour.
// The same policy has the same rules all through an hour, wherever it is asked.
//
// A series is left out of a rule if an earlier one decides about it, unless that
// deletes as much: then it makes no difference, and the rule is about more
// series, at best about all, which is easier to apply.
func (p *Policy) Rules(now time.Time) Rules {
	var out Rules
	all := append(slices.Clip(p.Keep), Keep{Period: p.Period})
	for i, k := range all {
		if k.Period > 0 {
			r := Rule{Matchers: k.Matchers, Reason: "kept for " + FormatPeriod(k.Period)}
			for _, earlier := range all[:i] {
				if earlier.Period == 0 || earlier.Period > k.Period {
					r.Except = append(r.Except, earlier.Matchers)
				}
			}
			r.Range = profile.TimeRange{Start: BeginningOfTime, End: profile.UnixMilli(now.Add(-k.Period).Truncate(hour).UnixMilli()) - 1}
			r.ID = r.derivedID()
			out = append(out, r)
		}
		if len(k.Matchers) == 0 {
			break // nothing gets past it
		}
	}
	return out
}

// derivedID returns an ID that depends on what the rule does.
func (r *Rule) derivedID() (id ulid.ULID) {
	_ = id.SetTime(uint64(max(0, r.Range.End+1))) // no time of a clock is too large
	sum := r.hash(r.Range)
	binary.BigEndian.PutUint64(id[8:], sum)
	binary.BigEndian.PutUint16(id[6:], uint16(xxhash.Sum64(id[8:])))
	return id
}
