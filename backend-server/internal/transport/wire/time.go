package wire

import (
	"strconv"
	"strings"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// ParseTime reads a time as the older HTTP endpoints take it: a number of
// seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
// size; RFC 3339; "now", or a time before it as in "now-1h30m" (units ns to h,
// and d, w, y). The field is named in the error.
func ParseTime(field, s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return fromNumber(n), nil
	}
	if back, ok := strings.CutPrefix(s, "now"); ok {
		if back = strings.TrimSpace(back); back == "" {
			return now, nil
		}
		if d, ok := duration(strings.TrimPrefix(back, "-")); ok && back[0] == '-' {
			return now.Add(-d), nil
		}
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, fault.New(fault.Invalid, "%s is %q; it must be a number since 1970, an RFC 3339 time, or a time such as now-1h", field, s)
}

// fromNumber tells the unit by size: the year 5138 in one unit is 1973 in the
// next finer one.
func fromNumber(n int64) time.Time {
	const limit = 100_000_000_000
	switch {
	case n < limit:
		return time.Unix(n, 0)
	case n < limit*1000:
		return time.UnixMilli(n)
	case n < limit*1_000_000:
		return time.UnixMicro(n)
	}
	return time.Unix(0, n)
}

// longUnits are those that Go's durations lack.
var longUnits = map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}

func duration(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	if unit, ok := longUnits[s[len(s)-1]]; ok {
		n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
		if d := time.Duration(n) * unit; err == nil && d/unit == time.Duration(n) {
			return d, true
		}
		return 0, false
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}
