package pprof_test

import (
	"testing"

	google "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

func TestEncode(t *testing.T) {
	p := &profile.Profile{
		Types:         []profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
		PeriodType:    profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Period:        10,
		TimeNanos:     1e18,
		DurationNanos: 5,
		Strings:       []string{"", "main", "main.go", "bin", "id"},
		Mappings:      []profile.Mapping{{}, {Start: 1, Limit: 2, Offset: 3, File: 3, BuildID: 4, HasFunctions: true}},
		Functions:     []profile.Function{{Name: 1, SystemName: 1, Filename: 2, StartLine: 7}},
		Lines:         []profile.Line{{Function: 0, Line: 8}, {Function: 0, Line: 9}},
		Locations:     []profile.Location{{Mapping: 1, Address: 77, LineStart: 0, LineEnd: 2}},
		Frames:        []uint32{0, 0},
		Samples:       []profile.Sample{{}, {FrameStart: 0, FrameEnd: 2, Group: 1, SpanID: 0xabc, TraceID: [16]byte{15: 9}}},
		Values:        []int64{3, 4},
		LabelSets:     [][]profile.LabelPair{nil, {{Name: "k", Value: "v"}}},
	}
	got, err := google.ParseUncompressed(pprof.Encode(p))
	require.NoError(t, err)
	require.NoError(t, got.CheckValid())
	require.Equal(t, "cpu", got.DefaultSampleType)
	require.EqualValues(t, 1e18, got.TimeNanos)
	require.EqualValues(t, 5, got.DurationNanos)
	require.Equal(t, &google.ValueType{Type: "cpu", Unit: "nanoseconds"}, got.PeriodType)
	require.Empty(t, got.Sample[0].Location)
	require.Equal(t, []int64{3}, got.Sample[0].Value)
	s := got.Sample[1]
	require.Equal(t, map[string][]string{"k": {"v"}, "span_id": {"0000000000000abc"}, "trace_id": {"00000000000000000000000000000009"}}, s.Label)
	require.Len(t, s.Location, 2)
	l := s.Location[0]
	require.EqualValues(t, 77, l.Address)
	require.Equal(t, []int64{8, 9}, []int64{l.Line[0].Line, l.Line[1].Line})
	require.Equal(t, google.Function{ID: 1, Name: "main", SystemName: "main", Filename: "main.go", StartLine: 7}, *l.Line[0].Function)
	require.Equal(t, "bin", l.Mapping.File)
	require.Equal(t, "id", l.Mapping.BuildID)
}

// TestEncodeDecode holds Encode against Decode: what was decoded once comes
// back the same.
func TestEncodeDecode(t *testing.T) {
	for name, raw := range testdata(t) {
		t.Run(name, func(t *testing.T) {
			first, err := new(pprof.Decoder).Decode(raw, pprof.Options{})
			if err != nil {
				t.Skip(err)
			}
			second, err := new(pprof.Decoder).Decode(pprof.Encode(first), pprof.Options{})
			require.NoError(t, err)
			require.Equal(t, sums(first), sums(second))
			require.Equal(t, first.Types, second.Types)
			require.Equal(t, first.PeriodType, second.PeriodType)
			require.Equal(t, []int64{first.Period, first.TimeNanos, first.DurationNanos}, []int64{second.Period, second.TimeNanos, second.DurationNanos})
		})
	}
}
