package deletion

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

const overridesText = `
a:
  period: 90d
  rules: ['{env="prod"}=1y', '{}=0']
  max-bytes: 10GiB
b: {period: 0}
c: {rules: []}
`

func everybody(t *testing.T) Policy {
	k, err := ParseKeep(`{env="dev"}=1d`)
	require.NoError(t, err)
	return Policy{Period: 720 * time.Hour, Keep: []Keep{k}, MaxBytes: 5}
}

func TestOverridesStandForWhatTheySay(t *testing.T) {
	all := everybody(t)
	got, err := parseOverrides([]byte(overridesText), all)
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Equal(t, 90*24*time.Hour, got["a"].Period)
	require.Equal(t, `{env="prod"}=1y`, got["a"].Keep[0].String())
	require.Len(t, got["a"].Keep, 2)
	require.EqualValues(t, 10<<30, got["a"].MaxBytes)
	require.Equal(t, Policy{Keep: all.Keep, MaxBytes: 5}, got["b"])
	require.Equal(t, Policy{Period: all.Period, MaxBytes: 5}, got["c"])
	for _, empty := range []string{"", "\n# nothing\n", "{}"} {
		got, err := parseOverrides([]byte(empty), all)
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestAllThatIsWrongWithOverridesIsSaid(t *testing.T) {
	_, err := parseOverrides([]byte("a/b: {period: soon}\nc: {rules: ['x', '{a=\"b\"}=1m'], max-bytes: much}\n"), Policy{})
	for _, want := range []string{`tenant "a/b"`, `"soon" is no time`, `tenant "c"`, `"x" is no rule`, `"1m" is no time`, `max-bytes is "much"`} {
		require.ErrorContains(t, err, want)
	}
	_, err = parseOverrides([]byte("a: {perod: 1d}\n"), Policy{})
	require.ErrorContains(t, err, "perod")
	_, err = parseOverrides([]byte("- a"), Policy{})
	require.Error(t, err)
}

// A file that cannot be used leaves things as they were, which is said once and
// can be seen.
func TestFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overrides.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	var log strings.Builder
	reg := prometheus.NewRegistry()
	cfg := Config{Period: "30d", Overrides: file}
	_, err := NewRetention(cfg, nil, slog.New(slog.NewTextHandler(&log, nil)))
	require.ErrorIs(t, err, os.ErrNotExist, "to begin with it must be there")

	write("a: {period: 1d}")
	log.Reset()
	r, err := NewRetention(cfg, reg, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	require.Empty(t, log.String())
	period := func(tenant string) string { return FormatPeriod(r.Policy(tenant).Period) }
	require.Equal(t, "1d", period("a"))
	require.Equal(t, "30d", period("b"))

	write("a: {period: 2d}")
	require.NoError(t, r.Reload())
	require.Equal(t, "2d", period("a"))
	require.Equal(t, 1, strings.Count(log.String(), "have changed"))
	require.NoError(t, r.Reload())
	require.Equal(t, 1, strings.Count(log.String(), "have changed"), "it has not")

	write("a: {period: 2x}")
	for range 3 {
		require.ErrorContains(t, r.Reload(), `"2x" is no time`)
	}
	require.Equal(t, "2d", period("a"))
	require.Equal(t, 1, strings.Count(log.String(), "cannot be used"))
	require.EqualValues(t, 1, testutil.ToFloat64(r.failing))
	require.NoError(t, os.Remove(file))
	require.ErrorIs(t, r.Reload(), os.ErrNotExist)
	require.Equal(t, "2d", period("a"))

	write("a: {period: 2d}")
	require.NoError(t, r.Reload())
	require.EqualValues(t, 0, testutil.ToFloat64(r.failing))
	write("{}")
	require.NoError(t, r.Reload())
	require.Equal(t, "30d", period("a"))
}

func FuzzOverrides(f *testing.F) {
	f.Add([]byte(overridesText))
	f.Add([]byte("a: {max-bytes: 5, period: 36h}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseOverrides(raw, Policy{Period: time.Hour})
		if err != nil {
			return
		}
		for _, p := range got {
			for _, r := range p.Rules(time.UnixMilli(1_700_000_000_000)) {
				require.NoError(t, r.Check())
			}
			require.GreaterOrEqual(t, p.MaxBytes, int64(0))
		}
	})
}

func FuzzEvent(f *testing.F) {
	raw, _, err := marshalEvent(&Event{Time: time.UnixMilli(1_700_000_000_000), Kind: BlockDeleted, Rule: &Rule{Reason: "x"}, Profiles: 3})
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := unmarshalEvent(raw)
		if err != nil {
			require.NotEqual(t, fault.Unknown, fault.KindOf(err))
			return
		}
		if e.Rule != nil {
			require.NoError(t, e.Rule.Check())
		}
	})
}

// A file that is being written looks empty for a moment: what is to be kept for
// long must not be too old for that moment.
func TestAFileThatIsBeingWrittenTakesNoSettingsBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overrides.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("a: {period: 1y}")
	r, err := NewRetention(Config{Period: "1h", Overrides: file}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	write("")
	require.ErrorContains(t, r.Reload(), "it is empty")
	require.Equal(t, 365*24*time.Hour, r.Policy("a").Period)
	write("{}")
	require.NoError(t, r.Reload())
	require.Equal(t, time.Hour, r.Policy("a").Period)
}
