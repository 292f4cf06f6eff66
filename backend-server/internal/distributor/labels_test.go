package distributor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	google "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func TestSeriesLabels(t *testing.T) {
	many := pairs("__name__", "cpu")
	for i := range 30 {
		many = append(many, pairs(fmt.Sprintf("l%02d", i), "x")...)
	}
	long := strings.Repeat("n", 1100)
	cases := []struct {
		name   string
		labels []string
		want   string // labels as stored, or
		refuse string // part of the error, and
		reason string
	}{
		{"plain", []string{"service_name", "s", "__name__", "process_cpu", "pod", "p"}, `{__name__="process_cpu", pod="p", service_name="s"}`, "", ""},
		{"no service", []string{"__name__", "n"}, `{__name__="n", service_name="unknown_service"}`, "", ""},
		{"empty service", []string{"__name__", "n", "service_name", ""}, `{__name__="n", service_name="unknown_service"}`, "", ""},
		{"empty value", []string{"__name__", "n", "zone", "", "service_name", "s"}, `{__name__="n", service_name="s"}`, "", ""},
		{"derived labels", []string{"__name__", "n", "__profile_type__", "x", "__type__", "x", "__session_id__", "1", "__delta__", "false"}, `{__delta__="false", __name__="n", service_name="unknown_service"}`, "", ""},
		{"delta profiles", []string{"__name__", "godeltaprof_memory"}, `{__delta__="false", __name__="memory", service_name="unknown_service"}`, "", ""},
		{"odd names", []string{"__name__", "n", "a-b", "1", "a.b", "2", "a b", "3", "ä", "4"}, `{__name__="n", "a b"="3", "a-b"="1", "a.b"="2", service_name="unknown_service", "ä"="4"}`, "", ""},
		{"no name", []string{"service_name", "s"}, "", "invalid metric name: the label __name__ is missing", "invalid_labels"},
		{"empty name", []string{"__name__", ""}, "", "invalid metric name", "invalid_labels"},
		{"colon in the name", []string{"__name__", "a:b"}, "", `"a:b"; it must not be empty or contain ":"`, "invalid_labels"},
		{"empty label name", []string{"__name__", "n", "", "v"}, "", `a label name is empty; its value is "v"`, "invalid_labels"},
		{"duplicate", []string{"__name__", "n", "pod", "1", "pod", "2"}, "", `label name "pod" occurs twice, with the values "1" and "2"`, "duplicate_label_names"},
		{"duplicate, same value", []string{"__name__", "n", "pod", "1", "pod", "1"}, "", "occurs twice", "duplicate_label_names"},
		{"value not UTF-8", []string{"__name__", "n", "zone", "MA\xff\xfeER"}, "", `the value "MA\xff\xfeER" of label "zone" is not UTF-8`, "invalid_labels"},
		{"name not UTF-8", []string{"__name__", "n", "z\xff", "v"}, "", `label name "z\xff" is not UTF-8`, "invalid_labels"},
		{"long name", []string{"__name__", "n", long, "v"}, "", "has 1100 bytes; limit 1024", "label_name_too_long"},
		{"long value", []string{"__name__", "n", "zone", long + long}, "", `of label "zone" has 2200 bytes; limit 2048`, "label_value_too_long"},
	}
	f := newFixture(t, nil)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ls, err := seriesLabels(pairs(c.labels...), &f.limits, false)
			if c.refuse != "" {
				require.ErrorContains(t, err, c.refuse)
				require.Equal(t, fault.Invalid, fault.KindOf(err))
				require.Equal(t, c.reason, fault.ReasonOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, toLabels(ls).String())
		})
	}
	_, err := seriesLabels(many, &f.limits, false)
	require.NoError(t, err, "30 names and the internal ones")
	_, err = seriesLabels(append(many, pairs("one_more", "x")...), &f.limits, false)
	require.ErrorContains(t, err, "the series has 31 label names; limit 30")
}

func TestWindow(t *testing.T) {
	cases := []struct {
		at     time.Time
		refuse string
	}{
		{now, ""}, {now.Add(-time.Hour), ""}, {now.Add(10 * time.Minute), ""},
		{now.Add(-time.Hour - time.Millisecond), "1h0m0s ago; limit -validation.reject-older-than=1h0m0s"},
		{now.Add(11 * time.Minute), "11m0s ahead; limit -validation.reject-newer-than=10m0s"},
		{time.Unix(0, 1), "ago; limit -validation.reject-older-than"},
	}
	f, open := newFixture(t, nil), newFixture(t, func(_ *Config, l *Limits) { l.RejectOlderThan, l.RejectNewerThan = 0, 0 })
	for _, c := range cases {
		s := series(pb(c.at), "__name__", "n")
		res := f.push(t, s)
		if c.refuse == "" {
			require.NoError(t, res.Err())
		} else {
			require.ErrorContains(t, res.Err(), c.refuse)
			require.Equal(t, "not_in_ingestion_window", fault.ReasonOf(res.Refused[0].Err))
		}
		res = open.push(t, s)
		require.NoError(t, res.Err())
	}
}

func TestTypesThatNoIDTellsApart(t *testing.T) {
	f := newFixture(t, nil)
	typed := func(types ...*google.ValueType) []byte {
		return write(&google.Profile{SampleType: types, TimeNanos: now.UnixNano()})
	}
	res := f.push(t, series(typed(&google.ValueType{Type: "a:b"}), "__name__", "n"))
	require.ErrorContains(t, res.Err(), `sample_type[0] is "a:b" in ""; ":" is not allowed`)
	res = f.push(t, series(typed(&google.ValueType{Type: "a", Unit: "x"}, &google.ValueType{Type: "a", Unit: "y"}, &google.ValueType{Type: "a", Unit: "x"}), "__name__", "n"))
	require.ErrorContains(t, res.Err(), `sample_type[2] is "a" in "x", as is sample_type[0]`)
	res = f.push(t, series(typed(&google.ValueType{Type: "alloc-samples"}), "__name__", "n"))
	require.NoError(t, res.Err())
	require.Equal(t, 1, res.Stored, "a profile without samples is fine, there is just nothing to store")
	require.Empty(t, f.store.recs)
}

func TestLimitsValidate(t *testing.T) {
	bad := Limits{MaxProfileSize: config.Bytes(3 << 30), MaxStackDepth: 1, RejectOlderThan: -1, RejectNewerThan: -1}
	require.Len(t, bad.Validate(), 8)
	require.Len(t, (&Config{RateMB: -1}).Validate(), 2)
	require.Len(t, (&Config{RateMB: 1, PushTimeout: 1}).Validate(), 1)
}
