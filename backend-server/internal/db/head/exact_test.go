package head_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// types gives sample types to handmade records, by their number.
var types = []profile.ValueType{{Type: "a", Unit: "count"}, {Type: "b", Unit: "count"}, {Type: "c", Unit: "count"}, {Type: "d", Unit: "count"}, {Type: "e", Unit: "count"}}

// made is one sample of a handmade record: a frame, a span and a value for
// each type.
type made struct {
	frame  string
	span   uint64
	values []int64
}

func record(id uint64, service string, samples ...made) profile.Record {
	p := &profile.Profile{Strings: []string{""}, Mappings: []profile.Mapping{{}}, LabelSets: [][]profile.LabelPair{nil}}
	if len(samples) > 0 {
		p.Types = types[:len(samples[0].values)]
	}
	for i, s := range samples {
		n := uint32(i)
		p.Strings = append(p.Strings, s.frame)
		p.Functions = append(p.Functions, profile.Function{Name: n + 1})
		p.Lines = append(p.Lines, profile.Line{Function: n})
		p.Locations = append(p.Locations, profile.Location{LineStart: n, LineEnd: n + 1})
		p.Frames = append(p.Frames, n)
		p.Samples = append(p.Samples, profile.Sample{FrameStart: n, FrameEnd: n + 1, SpanID: s.span})
		p.Values = append(p.Values, s.values...)
	}
	ls := labels.FromStrings(profile.LabelName, "made")
	if service != "" {
		ls = labels.FromStrings(profile.LabelName, "made", profile.LabelServiceName, service)
	}
	return profile.Record{ID: id, Labels: ls, Time: start, Profile: p, SampleEnd: len(samples)}
}

func made1(column int, spans ...uint64) query.Selection {
	return query.Selection{Type: profile.Type{Name: "made", SampleType: types[column].Type, SampleUnit: types[column].Unit}, Range: profile.TimeRange{Start: start, End: start}, Spans: spans}
}

func stacks(t testing.TB, h *head.Head, sel query.Selection) dbtest.Stacks {
	t.Helper()
	tree, err := query.Tree(context.Background(), []query.Queryable{h}, sel)
	require.NoError(t, err)
	return dbtest.FlattenTree(tree)
}

// Every number of every type, whatever the relation between the types.
func TestTypesExact(t *testing.T) {
	h := head.New(ulid.ULID{1}, new(recordingLog))
	var twin dbtest.Twin
	const large = math.MaxInt64 / 4
	for i, samples := range [][]made{
		{{"f", 0, []int64{1, 10}}, {"g", 0, []int64{2, 20}}},                        // proportional
		{{"f", 0, []int64{1, 10}}, {"g", 0, []int64{2, 21}}},                        // not so
		{{"f", 7, []int64{1, 20}}, {"f", 8, []int64{3, 20}}},                        // only the sums are
		{{"f", 7, []int64{0, 10}}, {"f", 8, []int64{1, 0}}},                         // same, with zeros
		{{"f", 7, []int64{2, 6}}, {"f", 8, []int64{3, 9}}, {"f", 0, []int64{1, 3}}}, // with spans
		{{"f", 0, []int64{1, large}}, {"g", 0, []int64{2, large}}},
		{{"f", 0, []int64{5}}},
		{{"f", 7, []int64{0, 1, 2, 3, 6}}, {"g", 8, []int64{0, 0, 0, 1, 2}}},
		{{"f", 0, []int64{3, 3, 3, 3, 3}}},
		{},
	} {
		rec := record(uint64(i+1), "", samples...)
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec, &rec}))
		twin.Add(rec)
	}
	for column := range types {
		for _, spans := range [][]uint64{nil, {7}, {8}, {7, 8}} {
			sel := made1(column, spans...)
			require.Equal(t, twin.Tree(sel), stacks(t, h, sel), "type %d, spans %v", column, spans)
		}
	}
	require.Equal(t, int64(9), h.Stats().Profiles, "a profile without samples is nothing to keep")
}

func TestSaturation(t *testing.T) {
	h := head.New(ulid.ULID{1}, new(recordingLog))
	rec := record(1, "s", made{"f", 0, []int64{math.MaxInt64, 1}}, made{"f", 0, []int64{5, 5}}, made{"g", 0, []int64{3, math.MaxInt64 - 5}})
	require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
	require.Equal(t, dbtest.Stacks{"f": math.MaxInt64, "g": 3}, stacks(t, h, made1(0)))
	require.Equal(t, dbtest.Stacks{"f": 6, "g": math.MaxInt64 - 5}, stacks(t, h, made1(1)))
	require.Positive(t, h.Stats().Saturated)
}

// smallLog refuses large records.
type smallLog struct{ recordingLog }

func (l *smallLog) Enqueue(b []byte) (wal.Ticket, error) {
	if len(b) > 1000 {
		return 0, fault.New(fault.TooLarge, "too large")
	}
	return l.recordingLog.Enqueue(b)
}

// A record that the log refuses leaves nothing behind: neither in the records
// that follow nor in the symbols.
func TestRefusedRecordLeavesNothing(t *testing.T) {
	log := new(smallLog)
	h := head.New(ulid.ULID{1}, log)
	small, more := record(1, "s", made{"f", 0, []int64{1}}), record(3, "s", made{"g", 0, []int64{2}}, made{"f", 0, []int64{2}})
	large := record(2, "s", made{"f", 0, []int64{1}}, made{strings.Repeat("x", 2000), 0, []int64{1}})
	require.Nil(t, h.Append(context.Background(), []*profile.Record{&small}))
	errs := h.Append(context.Background(), []*profile.Record{&large, &more})
	require.True(t, fault.Is(errs[0], fault.TooLarge))
	require.NoError(t, errs[1])
	again := head.New(ulid.ULID{1}, nil)
	for _, r := range log.records {
		require.NoError(t, again.Replay(r))
	}
	for _, h := range []*head.Head{h, again} {
		require.Equal(t, dbtest.Stacks{"f": 3, "g": 2}, stacks(t, h, made1(0)))
	}
}

// A series that a refused record came with is logged later, behind younger
// ones.
func TestSeriesOfRefusedRecord(t *testing.T) {
	log := new(smallLog)
	h := head.New(ulid.ULID{1}, log)
	large := record(1, "s", made{"f", 0, []int64{0, 1}}, made{strings.Repeat("x", 2000), 0, []int64{0, 1}})
	require.NotNil(t, h.Append(context.Background(), []*profile.Record{&large}))
	for i, values := range [][]int64{{2, 0}, {0, 3}} {
		rec := record(uint64(i+2), "s", made{"f", 0, values})
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
	}
	again := head.New(ulid.ULID{1}, nil)
	for _, r := range log.records {
		require.NoError(t, again.Replay(r))
	}
	for _, h := range []*head.Head{h, again} {
		require.Equal(t, dbtest.Stacks{"f": 2}, stacks(t, h, made1(0)))
		require.Equal(t, dbtest.Stacks{"f": 3}, stacks(t, h, made1(1)))
	}
}

// Where a record is refused because one of its series is lost, the series it
// defines itself go on.
func TestReplayKeepsDefinitionsOfRefusedRecord(t *testing.T) {
	log := new(recordingLog)
	h := head.New(ulid.ULID{1}, log)
	recs := []profile.Record{
		record(1, "s", made{"f", 0, []int64{0, 1}}),
		record(2, "s", made{"f", 0, []int64{2, 1}}, made{"g", 0, []int64{1, 1}}),
		record(3, "s", made{"f", 0, []int64{4, 0}}),
	}
	for i := range recs {
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&recs[i]}))
	}
	again := head.New(ulid.ULID{1}, nil)
	require.True(t, fault.Is(again.Replay(log.records[1]), fault.Corrupt))
	require.NoError(t, again.Replay(log.records[2]))
	require.Equal(t, int64(4), total(stacks(t, again, made1(0))))
}

func TestScanHeedsContext(t *testing.T) {
	h := head.New(ulid.ULID{1}, new(recordingLog))
	for i := range uint64(1000) {
		rec := record(i, "s", made{"f", 0, []int64{1}})
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	err := h.Scan(ctx, query.ScanRequest{Rows: []uint32{0}, Range: profile.TimeRange{Start: start, End: start}}, func(*query.Row) error {
		seen++
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, seen, 100)
}
