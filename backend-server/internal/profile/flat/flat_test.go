package flat_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// corpus returns the real profiles that the decoder of pprof is tested with.
func corpus(tb testing.TB) map[string]*profile.Profile {
	tb.Helper()
	files, err := filepath.Glob("../pprof/testdata/*.pb*")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	out := map[string]*profile.Profile{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(tb, err)
		out[filepath.Base(f)], err = new(pprof.Decoder).Decode(raw, pprof.Options{})
		require.NoError(tb, err)
	}
	return out
}

// records makes a record for each label set of p that has samples.
func records(p *profile.Profile) []profile.Record {
	var out []profile.Record
	for start := 0; start < len(p.Samples); {
		end := start
		for end < len(p.Samples) && p.Samples[end].Group == p.Samples[start].Group {
			end++
		}
		ls := labels.FromStrings("__name__", "process_cpu", "service_name", "a", "set", fmt.Sprint(p.Samples[start].Group))
		out = append(out, profile.Record{ID: uint64(start) + 1, Labels: ls, Time: 1_800_000_000_000, Profile: p, SampleStart: start, SampleEnd: end})
		start = end
	}
	return out
}

// spelt is the naive form of samples: everything in words, nothing shared.
func spelt(p *profile.Profile, from, to int) []string {
	out := []string{fmt.Sprint(p.Types, p.PeriodType, p.Period, p.TimeNanos, p.DurationNanos, p.Dropped)}
	for i := from; i < to; i++ {
		s := p.Samples[i]
		text := fmt.Sprint(p.Row(i), s.SpanID, s.TraceID)
		for _, at := range p.Frames[s.FrameStart:s.FrameEnd] {
			l := p.Locations[at]
			m := p.Mappings[l.Mapping]
			text += fmt.Sprint("\n", l.Address, m.Start, m.Limit, m.Offset, m.HasFunctions, p.Strings[m.File], p.Strings[m.BuildID])
			for _, line := range p.Lines[l.LineStart:l.LineEnd] {
				f := p.Functions[line.Function]
				text += fmt.Sprint("\n ", line.Line, f.StartLine, p.Strings[f.Name], p.Strings[f.SystemName], p.Strings[f.Filename])
			}
		}
		out = append(out, text)
	}
	return out
}

func speltRecord(r *profile.Record) []string {
	return append(spelt(r.Profile, r.SampleStart, r.SampleEnd), fmt.Sprint(r.ID, r.Time, r.Labels))
}

func TestWholeProfiles(t *testing.T) {
	for name, p := range corpus(t) {
		got, err := flat.DecodeProfile(flat.AppendProfile(nil, p))
		require.NoError(t, err, name)
		requireInvariants(t, got)
		require.Equal(t, spelt(p, 0, len(p.Samples)), spelt(got, 0, len(got.Samples)), name)
		require.Equal(t, p.Strings, got.Strings)
		for i := range p.Samples {
			require.Equal(t, p.LabelSets[p.Samples[i].Group], got.LabelSets[got.Samples[i].Group])
		}
	}
}

func TestExtremes(t *testing.T) {
	p := &profile.Profile{
		Types: []profile.ValueType{{Type: "a", Unit: "b"}, {Type: "ä"}}, PeriodType: profile.ValueType{Unit: "x"},
		Period: -1, TimeNanos: math.MinInt64, DurationNanos: math.MaxInt64, Dropped: profile.DroppedCounters{NegativeSamples: 1, ZeroSamples: 2, TruncatedStacks: 3, UnlabelledSamples: math.MaxInt},
		Strings:   []string{"", "one", "", "zwö"},
		Mappings:  []profile.Mapping{{}, {Start: math.MaxUint64, Limit: 1, Offset: 1 << 40, File: 3, BuildID: 1, HasFunctions: true}},
		Functions: []profile.Function{{Name: 3, SystemName: 1, Filename: 2, StartLine: -7}},
		Lines:     []profile.Line{{Line: math.MinInt64}, {Line: math.MaxInt64}, {}},
		// Lines and frames that are shared and out of order.
		Locations: []profile.Location{{Mapping: 1, Address: math.MaxUint64, LineStart: 1, LineEnd: 3}, {LineEnd: 2}},
		Frames:    []uint32{1, 0, 1},
		Samples:   []profile.Sample{{FrameStart: 1, FrameEnd: 3, SpanID: math.MaxUint64, TraceID: [16]byte{15: 1}}, {}, {FrameEnd: 3, Group: 1}},
		Values:    []int64{math.MaxInt64, 0, 0, 1, 70000, 300},
		LabelSets: [][]profile.LabelPair{nil, {{Name: "k", Value: "v"}, {Name: "", Value: ""}}},
	}
	got, err := flat.DecodeProfile(flat.AppendProfile([]byte("before"), p)[6:])
	require.NoError(t, err)
	requireInvariants(t, got)
	require.Equal(t, spelt(p, 0, 3), spelt(got, 0, 3))
	require.Equal(t, p.LabelSets, got.LabelSets)

	empty, err := flat.DecodeProfile(flat.AppendProfile(nil, &profile.Profile{}))
	require.NoError(t, err)
	require.Empty(t, empty.Strings)
	require.Empty(t, empty.Samples)
}

// TestBatchesOfEachReceiver: of any choice of records each receiver gets just
// those, with one decoder and one batch for all.
func TestBatchesOfEachReceiver(t *testing.T) {
	var recs []profile.Record
	for _, p := range corpus(t) {
		recs = append(recs, records(p)...)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var b flat.Batch
	var d flat.Decoder
	for range 20 {
		start := rng.IntN(len(recs))
		sent := recs[start:]
		b.Encode(sent)
		var items []int
		var want [][]string
		for i := range sent {
			if rng.IntN(3) > 0 {
				items, want = append(items, i), append(want, speltRecord(&sent[i]))
			}
		}
		message := b.Append(nil, items)
		require.Len(t, message, b.MessageSize(items))
		got, err := d.Records(message)
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range got {
			requireInvariants(t, got[i].Profile)
			require.Equal(t, want[i], speltRecord(&got[i]))
		}
		if rng.IntN(4) == 0 {
			d.Reset()
			b.Reset()
		}
	}
}

func TestSkewAndDamageAreTold(t *testing.T) {
	p := corpus(t)["inlined.pb.gz"]
	whole := flat.AppendProfile(nil, p)
	newer := slices.Clone(whole)
	newer[0] = 9
	_, err := flat.DecodeProfile(newer)
	require.True(t, fault.Is(err, fault.Unimplemented))
	require.ErrorContains(t, err, "the version is 9; this process knows 1")
	newer[0], newer[1] = whole[0], 77
	_, err = new(flat.Decoder).Records(newer)
	require.True(t, fault.Is(err, fault.Unimplemented))
	require.ErrorContains(t, err, "kind 77")
	for i := range whole {
		_, err := flat.DecodeProfile(whole[:i])
		require.True(t, fault.Is(err, fault.Corrupt), "%d: %v", i, err)
	}
	_, err = flat.DecodeProfile(append(whole, 0))
	require.ErrorContains(t, err, "1 bytes are left over")
}

// requireInvariants checks P1, P2, P3 and P5.
func requireInvariants(t *testing.T, p *profile.Profile) {
	t.Helper()
	within := func(ok bool, what string, i int) {
		if !ok {
			t.Fatalf("%s %d refers outside its array", what, i)
		}
	}
	str := func(list ...uint32) bool {
		return !slices.ContainsFunc(list, func(i uint32) bool { return int(i) >= len(p.Strings) })
	}
	for i, m := range p.Mappings {
		within(str(m.File, m.BuildID), "mapping", i)
	}
	for i, f := range p.Functions {
		within(str(f.Name, f.SystemName, f.Filename), "function", i)
	}
	for i, l := range p.Lines {
		within(int(l.Function) < len(p.Functions), "line", i)
	}
	for i, l := range p.Locations {
		within(int(l.Mapping) < len(p.Mappings) && int(l.LineEnd) <= len(p.Lines) && l.LineStart < l.LineEnd, "location", i)
	}
	require.Len(t, p.Values, len(p.Samples)*len(p.Types))
	group := uint32(0)
	for i, s := range p.Samples {
		within(int(s.FrameEnd) <= len(p.Frames) && s.FrameStart <= s.FrameEnd && int(s.Group) < len(p.LabelSets) && s.Group >= group, "sample", i)
		group = s.Group
		sum := int64(0)
		for _, at := range p.Frames[s.FrameStart:s.FrameEnd] {
			within(int(at) < len(p.Locations), "frame of sample", i)
		}
		for _, v := range p.Row(i) {
			require.GreaterOrEqual(t, v, int64(0))
			sum |= v
		}
		require.NotZero(t, sum)
	}
}

// memory returns about how much a profile takes.
func memory(p *profile.Profile) int {
	n := len(p.Types)*32 + len(p.Strings)*16 + len(p.Mappings)*40 + len(p.Functions)*24 + len(p.Lines)*16 + len(p.Locations)*24 +
		len(p.Frames)*4 + len(p.Samples)*40 + len(p.Values)*8 + len(p.LabelSets)*24
	for _, set := range p.LabelSets {
		n += len(set) * 32
	}
	return n
}

// requireSame compares profiles of which all is in the order of the encoding.
func requireSame(t *testing.T, a, b *profile.Profile) {
	t.Helper()
	require.True(t, slices.Equal(a.Types, b.Types) && slices.Equal(a.Strings, b.Strings) && slices.Equal(a.Mappings, b.Mappings) &&
		slices.Equal(a.Functions, b.Functions) && slices.Equal(a.Lines, b.Lines) && slices.Equal(a.Locations, b.Locations) &&
		slices.Equal(a.Frames, b.Frames) && slices.Equal(a.Samples, b.Samples) && slices.Equal(a.Values, b.Values) &&
		slices.EqualFunc(a.LabelSets, b.LabelSets, slices.Equal[[]profile.LabelPair]))
	require.Equal(t, []any{a.PeriodType, a.Period, a.TimeNanos, a.DurationNanos, a.Dropped}, []any{b.PeriodType, b.Period, b.TimeNanos, b.DurationNanos, b.Dropped})
}

// FuzzDecode: whatever the bytes, there is an error of the kinds promised, or
// what keeps the invariants, takes memory in proportion, and is the same after
// it was written and read again.
func FuzzDecode(f *testing.F) {
	var b flat.Batch
	for _, p := range corpus(f) {
		f.Add(flat.AppendProfile(nil, p))
		b.Encode(records(p))
		items := make([]int, len(records(p)))
		for i := range items {
			items[i] = i
		}
		f.Add(b.Append(nil, items))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d flat.Decoder
		p, err := d.Profile(raw)
		if err == nil {
			requireInvariants(t, p)
			require.LessOrEqual(t, memory(p), 64*len(raw))
			again, err := flat.DecodeProfile(flat.AppendProfile(nil, p))
			require.NoError(t, err)
			requireSame(t, p, again)
		} else {
			require.Contains(t, []fault.Kind{fault.Corrupt, fault.Unimplemented}, fault.KindOf(err))
		}
		recs, err := d.Records(raw)
		if err != nil {
			require.Contains(t, []fault.Kind{fault.Corrupt, fault.Unimplemented}, fault.KindOf(err))
			return
		}
		total, items := 0, make([]int, len(recs))
		for i := range recs {
			requireInvariants(t, recs[i].Profile)
			items[i] = i
			if i == 0 || recs[i].Profile != recs[i-1].Profile {
				total += memory(recs[i].Profile)
			}
		}
		require.LessOrEqual(t, total, 64*len(raw))
		var b flat.Batch
		b.Encode(recs)
		again, err := new(flat.Decoder).Records(b.Append(nil, items))
		require.NoError(t, err)
		require.Len(t, again, len(recs))
		for i := range recs {
			require.Equal(t, recs[i].Labels, again[i].Labels)
			require.Equal(t, []int{int(recs[i].Time), recs[i].SampleStart, recs[i].SampleEnd}, []int{int(again[i].Time), again[i].SampleStart, again[i].SampleEnd})
			requireSame(t, recs[i].Profile, again[i].Profile)
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	for _, name := range []string{"go-cpu.pb.gz", "go-heap.pb.gz", "span-labels.pb.gz", "many-sample-labels.pb.gz"} {
		recs := records(corpus(b)[name])
		items := make([]int, len(recs))
		for i := range items {
			items[i] = i
		}
		var batch flat.Batch
		batch.Encode(recs)
		message := batch.Append(nil, items)
		b.Run(name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				batch.Encode(recs)
			}
		})
		b.Run(name+"/decode", func(b *testing.B) {
			var d flat.Decoder
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				if _, err := d.Records(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
