package pprof_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	google "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

func TestDecodeDoesNotCareForOrder(t *testing.T) {
	var d, e pprof.Decoder
	a, err := d.Decode(tiny(), pprof.Options{})
	require.NoError(t, err)
	b, err := e.Decode(backwards(), pprof.Options{})
	require.NoError(t, err)
	want := map[sumKey]int64{
		{0, "main.root:9\x00main.leaf:7", ""}: 1,
		{1, "main.root:9\x00main.leaf:7", ""}: 10,
	}
	require.Equal(t, want, sums(a))
	require.Equal(t, want, sums(b))
	for _, p := range []*profile.Profile{a, b} {
		require.Equal(t, []profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}, p.Types)
		require.Equal(t, profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, p.PeriodType)
		require.EqualValues(t, 1700000000000000000, p.TimeNanos)
		require.EqualValues(t, 10e9, p.DurationNanos)
		require.EqualValues(t, 10_000_000, p.Period)
		require.Zero(t, p.Locations[0].Address, "the address of a frame with symbols")
	}
}

func TestDecodeRefuses(t *testing.T) {
	cases := []struct {
		name, want string
		raw        []byte
	}{
		{"nothing", "profile is empty: 0 bytes", nil},
		{"no string table", "string_table is empty", msg{}.bytes(1, nil)},
		{"string 0", `string_table[0] is "zero"; it must be ""`, msg{}.strings("zero")},
		{"not UTF-8", "string_table[1] is not UTF-8: hex 6d61696e2efffe6166", msg{}.strings("", "main.\xff\xfeaf")},
		{"no sample types", "sample_type is missing", msg{}.strings("", "x")},
		{"type out of table", "sample_type: type is 999; string_table has 10 entries", tiny().bytes(1, msg{}.num(1, 999))},
		{"type negative", "sample_type: type is -1; string_table has 10 entries", tiny().bytes(1, msg{}.num(1, 1<<64-1))},
		{"too few values", "sample[1]: has 1 values; sample_type has 2 entries", tiny().bytes(2, msg{}.packed(2, 1))},
		{"unknown location", "sample[1]: location_id is 9; no location has this id", tiny().bytes(2, msg{}.packed(1, 9).packed(2, 1, 1))},
		{"location 0 in a sample", "sample[1]: location_id is 0; no location has this id", tiny().bytes(2, msg{}.num(1, 0).packed(2, 1, 1))},
		{"label key", "sample[1]: label.key is 99; string_table", tiny().bytes(2, msg{}.packed(2, 1, 1).bytes(3, msg{}.num(1, 99)))},
		{"location id 0", "location[2]: id is 0; IDs start at 1", tiny().bytes(4, msg{}.num(3, 4))},
		{"location id twice", "location[2]: id 1 is taken by an earlier one", tiny().bytes(4, msg{}.num(1, 1))},
		{"unknown function", "location[2]: line.function_id is 99; no function has this id", tiny().bytes(4, msg{}.num(1, 3).bytes(4, msg{}.num(1, 99)))},
		{"function id 0", "function[2]: id is 0", tiny().bytes(5, msg{}.num(2, 1))},
		{"function name", "function[2]: name is -1; string_table has 10 entries", tiny().bytes(5, msg{}.num(1, 3).num(2, 1<<64-1))},
		{"mapping id 0", "mapping[1]: id is 0", tiny().bytes(3, msg{}.num(2, 1))},
		{"two profiles", "time_nanos occurs twice", append(tiny(), tiny()...)},
		{"value cut off, more behind it", "sample[1]: broken or cut off varint", tiny().bytes(2, msg{}.bytes(2, []byte{1, 0x80}).packed(1, 1))},
		{"location id cut off, more behind it", "sample[1]: broken or cut off varint", tiny().bytes(2, msg{}.bytes(1, []byte{1, 0x80}).packed(2, 1, 1))},
		{"number cut off, more behind it", "function[2]: broken or cut off varint", tiny().bytes(5, msg{0x08, 0x83}).num(12, 1)},
		{"line cut off, more behind it", "location[2]: broken or cut off varint", tiny().bytes(4, msg{}.num(1, 3).bytes(4, msg{0x08, 0x81}).num(2, 1)).num(12, 1)},
		{"label cut off, more behind it", "sample[1]: broken or cut off varint", tiny().bytes(2, msg{}.bytes(3, msg{0x08, 8, 0x18, 0x81}).packed(2, 1, 1)).num(12, 1)},
		{"key of a numeric label", "sample[1]: label.key is 99; string_table", tiny().bytes(2, msg{}.packed(2, 1, 1).bytes(3, msg{}.num(1, 99).num(3, 5))).num(12, 1)},
		{"cut off", "runs past the end", tiny()[:len(tiny())-30]},
		{"group", "no pprof profile: byte 0: wire type that pprof does not use: 3", []byte{0x0b}},
		{"wrong wire type", "profile, field 9, wire type 2: wire type does not fit", tiny().bytes(9, nil)},
		{"varint without end", "no pprof profile: byte 0: broken or cut off varint", []byte{0x48, 0xff}},
		{"text", "no pprof profile: byte 0:", []byte("junk")},
		{"gzip header", "gzip header is broken", []byte("\x1f\x8bjunkjunkjunk")},
		{"gzip magic only", "gzip is cut off", []byte("\x1f\x8b")},
		{"gzip cut off", "gzip is cut off", compress(tiny())[:60]},
		{"gzip then junk", "gzip header is broken or followed by junk", append(compress(tiny()), "more than ten bytes"...)},
		{"gzip checksum", "gzip checksum", wrongChecksum()},
		{"gzip of nothing", "profile is empty", compress(nil)},
	}
	var d pprof.Decoder
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Decode(c.raw, pprof.Options{})
			require.ErrorContains(t, err, c.want)
			require.Equal(t, fault.Invalid, fault.KindOf(err))
			require.Equal(t, "malformed_profile", fault.ReasonOf(err))
		})
	}
	_, err := d.Decode(tiny(), pprof.Options{})
	require.NoError(t, err, "after so many failures")
}

func wrongChecksum() []byte {
	b := compress(tiny())
	b[len(b)-8] ^= 1
	return b
}

func TestDecodeGzip(t *testing.T) {
	var d pprof.Decoder
	half := len(tiny()) / 2
	p, err := d.Decode(compress(tiny()[:half], tiny()[half:], nil), pprof.Options{})
	require.NoError(t, err)
	require.Len(t, p.Samples, 1)
	require.Equal(t, []byte(tiny()), d.Plain())

	lying := compress(tiny())
	binary.LittleEndian.PutUint32(lying[len(lying)-4:], 1<<31)
	_, err = d.Decode(lying, pprof.Options{})
	require.ErrorContains(t, err, "length does not match")
}

func TestDecodeSizeLimit(t *testing.T) {
	big := tiny().strings(strings.Repeat("x", 5000))
	opts := pprof.Options{MaxSize: 5000}
	var d pprof.Decoder
	for _, raw := range [][]byte{big, compress(big), compress(big[:4000], big[4000:])} {
		_, err := d.Decode(raw, opts)
		require.ErrorContains(t, err, "over the limit of 5000 bytes")
		require.Equal(t, fault.TooLarge, fault.KindOf(err))
		require.Equal(t, "profile_size_limit", fault.ReasonOf(err))
		_, err = d.Decode(raw, pprof.Options{MaxSize: int64(len(big))})
		require.NoError(t, err, "just within the limit")
	}
	names := tiny().strings("/"+strings.Repeat("f", 1000)).bytes(3, msg{}.num(1, 2).num(5, 10))
	for id := range 10 {
		names = names.bytes(4, msg{}.num(1, uint64(id+3)).num(2, 2))
	}
	_, err := d.Decode(names, opts)
	require.ErrorContains(t, err, "names of unsymbolised frames")
}

// TestDecodeNumbersOfAllWidths goes through every length that a number can
// have, wherever numbers are packed.
func TestDecodeNumbersOfAllWidths(t *testing.T) {
	var want []int64
	raw := msg{}.bytes(1, msg{}.num(1, 1)).strings("", "x").bytes(5, msg{}.num(1, 1).num(2, 1))
	for shift := range 63 {
		want = append(want, 1<<shift, 1<<shift|1)
	}
	const locations = 1<<14 + 100 // IDs of three bytes
	for id := range uint64(locations) {
		raw = raw.bytes(4, msg{}.num(1, id+1).bytes(4, msg{}.num(1, 1).num(2, id)))
	}
	wide := raw
	for _, v := range want {
		wide = wide.bytes(2, msg{}.packed(1, uint64(locations), 1, 127, 128, 1<<14-1, 1<<14).packed(2, uint64(v)))
	}
	var d pprof.Decoder
	for range 2 { // into memory that must grow first, then into enough
		p, err := d.Decode(wide, pprof.Options{})
		require.NoError(t, err)
		require.Equal(t, want, p.Values)
		for _, s := range p.Samples {
			require.Equal(t, []uint32{locations - 1, 0, 126, 127, 1<<14 - 2, 1<<14 - 1}, p.Frames[s.FrameStart:s.FrameEnd])
		}
		require.EqualValues(t, locations-1, p.Lines[locations-1].Line)
	}
	var many msg
	many = many.packed(2, make([]uint64, len(want))...)
	_, err := d.Decode(append(raw, msg{}.bytes(2, many)...), pprof.Options{})
	require.ErrorContains(t, err, fmt.Sprintf("has %d values; sample_type has 1 entries", len(want)))
}

func TestDecodeDropsAndCounts(t *testing.T) {
	raw := tiny().
		bytes(2, msg{}.packed(1, 1).packed(2, 5, 1<<64-1)).
		bytes(2, msg{}.packed(1, 2).packed(2, 0, 0)).
		bytes(2, msg{}.packed(1, 2).packed(2, 0, 7)).
		bytes(2, msg{}.packed(2, 3, 0))
	var d pprof.Decoder
	p, err := d.Decode(raw, pprof.Options{})
	require.NoError(t, err)
	require.Equal(t, profile.DroppedCounters{NegativeSamples: 1, ZeroSamples: 1}, p.Dropped)
	require.Len(t, p.Samples, 3)
	require.Equal(t, []int64{0, 7}, p.Row(1))
	require.Equal(t, p.Samples[2].FrameStart, p.Samples[2].FrameEnd, "a sample without frames stays")
	requireInvariants(t, p, pprof.DefaultMaxStackDepth)
}

func TestDecodeNames(t *testing.T) {
	p := &google.Profile{SampleType: []*google.ValueType{{Type: "samples", Unit: "count"}}}
	var want []string
	function := func(name, clean string) {
		f := &google.Function{ID: uint64(len(p.Function) + 1), Name: name, SystemName: name}
		p.Function = append(p.Function, f)
		p.Location = append(p.Location, &google.Location{ID: uint64(len(p.Location) + 1), Address: 77, Line: []google.Line{{Function: f, Line: 3}}})
		want = append(want, clean)
	}
	address := func(m *google.Mapping, addr uint64, name string) {
		if m != nil {
			m.ID = uint64(len(p.Mapping) + 1)
			p.Mapping = append(p.Mapping, m)
		}
		p.Location = append(p.Location, &google.Location{ID: uint64(len(p.Location) + 1), Mapping: m, Address: addr})
		want = append(want, name)
	}
	function("main.main", "main.main")
	function("slices.Sort[go.shape.[]int,go.shape.int]", "slices.Sort")
	function("a[go.shape.x].b[go.shape.y[int]].func1", "a.b.func1")
	function("a[go.shape.x].b[go.shape.open", "a.b[go.shape.open")
	function("a[int]", "a[int]")
	function("", "")
	address(&google.Mapping{Start: 0x400000, Offset: 0x1000, File: "/usr/bin/app"}, 0x400123, "app+0x1123")
	address(&google.Mapping{Start: 0x400000, Offset: 0x1000, File: "/usr/bin/app"}, 0x123, "app+0x123")
	address(&google.Mapping{File: "lib.so"}, 0x123, "lib.so+0x123")
	address(&google.Mapping{Start: 0x1000}, 0x1234, "0x234")
	address(&google.Mapping{Start: 0x1000}, 0x1000, "[unknown]")
	address(nil, 0xabc, "0xabc")
	address(nil, 0, "[unknown]")

	var d pprof.Decoder
	got, err := d.Decode(wire(p), pprof.Options{})
	require.NoError(t, err)
	requireInvariants(t, got, pprof.DefaultMaxStackDepth)
	for i, s := range got.Samples {
		name, _, _ := strings.Cut(stackOf(got, s), ":")
		require.Equal(t, want[i], name)
	}
	require.EqualValues(t, 0x1123, got.Locations[6].Address)
	require.Zero(t, got.Locations[0].Address)
}

func TestDecodeCutsDeepStacks(t *testing.T) {
	cases := []struct {
		name                      string
		depth, inlined, limit     int
		wantFrames, wantTruncated int
	}{
		{"just deep enough", 10, 1, 10, 10, 0},
		{"one too deep", 11, 1, 10, 10, 1},
		{"inlined within", 10, 2, 10, 10, 0},
		{"inlined, cut between locations", 30, 2, 10, 9, 1},
		{"one location too deep", 30, 30, 10, 1, 1},
		{"default", 5000, 1, 0, 4096, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var d pprof.Decoder
			p, err := d.Decode(encode(deep(c.depth, c.inlined)), pprof.Options{MaxStackDepth: c.limit})
			require.NoError(t, err)
			frames := strings.Split(stackOf(p, p.Samples[0]), "\x00")
			require.Len(t, frames, c.wantFrames)
			require.Equal(t, c.wantTruncated, p.Dropped.TruncatedStacks)
			if c.wantTruncated > 0 {
				require.Equal(t, "[truncated]:0", frames[0])
			}
			if len(frames) > 1 {
				require.Equal(t, "f:0", frames[len(frames)-1], "the leaf stays")
			}
			requireInvariants(t, p, max(c.limit, len(frames)))
		})
	}
}

func TestDecodeLabels(t *testing.T) {
	p := deep(1, 1)
	template := p.Sample[0]
	p.Sample = nil
	add := func(v int64, labels map[string][]string) {
		s := *template
		s.Value, s.Label, s.NumLabel = []int64{v}, labels, map[string][]int64{"bytes": {v}}
		p.Sample = append(p.Sample, &s)
	}
	add(1, map[string][]string{"b": {"2"}, "a": {"1"}})
	add(2, nil)
	add(3, map[string][]string{"a": {"1", "other"}, "b": {"2"}, "span_id": {"00000000000000ff"}})
	add(4, map[string][]string{"profile_id": {"8000000000000001"}, "trace_id": {"000102030405060708090a0b0c0d0e0f"}})
	add(5, map[string][]string{"span id": {"too short"}, "trace id": {strings.Repeat("g", 32)}})
	add(6, map[string][]string{"a": {"9"}})

	var d pprof.Decoder
	got, err := d.Decode(encode(p), pprof.Options{})
	require.NoError(t, err)
	requireInvariants(t, got, pprof.DefaultMaxStackDepth)
	require.Equal(t, [][]profile.LabelPair{nil, {{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, {{Name: "a", Value: "9"}}}, got.LabelSets)
	require.Equal(t, []int64{2, 4, 5, 1, 3, 6}, got.Values)
	require.EqualValues(t, 0xff, got.Samples[4].SpanID)
	require.Equal(t, uint64(0x8000000000000001), got.Samples[1].SpanID)
	require.Equal(t, [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, got.Samples[1].TraceID)
	require.Zero(t, got.Samples[2].SpanID)
	require.Zero(t, got.Samples[2].TraceID)

	got, err = d.Decode(encode(p), pprof.Options{MaxSampleLabelSets: 1})
	require.NoError(t, err)
	require.Equal(t, []int64{2, 4, 5, 6, 1, 3}, got.Values)
	require.Equal(t, 1, got.Dropped.UnlabelledSamples)
}

// TestDecodeAllocatesNothing holds for a warm decoder and real profiles.
func TestDecodeAllocatesNothing(t *testing.T) {
	for name, raw := range testdata(t) {
		var d pprof.Decoder
		allocs := testing.AllocsPerRun(10, func() {
			_, err := d.Decode(raw, pprof.Options{})
			require.NoError(t, err)
		})
		require.Zero(t, allocs, name)
	}
}

func TestDecoderResetForgets(t *testing.T) {
	var d pprof.Decoder
	p, err := d.Decode(compress(tiny()), pprof.Options{})
	require.NoError(t, err)
	table := p.Strings
	_, err = d.Decode(msg{}.bytes(1, nil).strings(""), pprof.Options{})
	require.NoError(t, err)
	require.NotEmpty(t, table[1], "a shorter profile leaves what lies behind it")
	d.Reset()
	require.Nil(t, d.Plain())
	require.Equal(t, make([]string, len(table)), table)
	_, err = d.Decode(tiny(), pprof.Options{})
	require.NoError(t, err)
}

func TestMetricName(t *testing.T) {
	cases := map[string]string{
		"samples cpu": "process_cpu", "cpu wall": "wall", "alloc_objects inuse_space": "memory", "space": "memory",
		"contentions=mutex_count delay=mutex_duration": "mutex", "contentions=block_count": "block",
		"goroutine=goroutines": "goroutines", "goroutine": "goroutine", "": "other",
	}
	for in, want := range cases {
		var types []profile.ValueType
		display := map[string]string{}
		for f := range strings.FieldsSeq(in) {
			name, shown, _ := strings.Cut(f, "=")
			types = append(types, profile.ValueType{Type: name})
			display[name] = shown
		}
		require.Equal(t, want, pprof.MetricName(types, display), fmt.Sprint(in))
	}
}
