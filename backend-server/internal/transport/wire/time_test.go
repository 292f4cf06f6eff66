package wire

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"1704164645":           at,
		"1704164645000":        at,
		"1704164645000000":     at,
		"1704164645000000000":  at,
		"2024-01-02T03:04:05Z": at,
		"0":                    time.Unix(0, 0),
		"now":                  now,
		" now ":                now,
		"now-1h30m":            now.Add(-90 * time.Minute),
		"now-2d":               now.AddDate(0, 0, -2),
		"now-1w":               now.AddDate(0, 0, -7),
		"now-":                 {},
		"now+1h":               {},
		"now-300000000y":       {},
		"yesterday":            {},
		"":                     {},
		"-5":                   {},
	} {
		got, err := ParseTime("from", in, now)
		if want.IsZero() {
			require.True(t, fault.Is(err, fault.Invalid), in)
			require.ErrorContains(t, err, "from is", in)
			continue
		}
		require.NoError(t, err, in)
		require.True(t, want.Equal(got), "%s: got %s", in, got)
	}
}
