package pprof_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	google "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// FuzzDecode holds the decoder against google/pprof: what that accepts, ours
// accepts with the same sums by stack, or refuses for a documented reason; what
// ours accepts keeps the invariants of package profile.
func FuzzDecode(f *testing.F) {
	for _, raw := range testdata(f) {
		var d pprof.Decoder
		_, err := d.Decode(raw, pprof.Options{})
		require.NoError(f, err)
		f.Add(raw)
		f.Add(slices.Clone(d.Plain()))
	}
	for _, raw := range handmade() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var d pprof.Decoder
		if len(raw) >= 2 && raw[0] == 0x1f && raw[1] == 0x8b {
			_, err := d.Decode(raw, pprof.Options{MaxSize: 1 << 20})
			requireClear(t, err)
			return
		}
		compare(t, &d, raw)
	})
}

// compare decodes raw with both decoders and compares.
func compare(t *testing.T, d *pprof.Decoder, raw []byte) {
	t.Helper()
	ours, err := d.Decode(raw, pprof.Options{})
	requireClear(t, err)
	theirs, theirErr := google.ParseUncompressed(raw)
	if theirErr == nil {
		theirErr = theirs.CheckValid()
	}
	if err != nil {
		if theirErr == nil {
			require.True(t, documentedRefusal(theirs, raw), "google/pprof accepts it, ours says %v", err)
		}
		return
	}
	requireInvariants(t, ours, pprof.DefaultMaxStackDepth)
	if theirErr != nil {
		return
	}
	require.Equal(t, theirs.TimeNanos, ours.TimeNanos)
	require.Equal(t, theirs.DurationNanos, ours.DurationNanos)
	require.Equal(t, theirs.Period, ours.Period)
	require.Equal(t, profile.ValueType{Type: theirs.PeriodType.Type, Unit: theirs.PeriodType.Unit}, ours.PeriodType)
	require.Len(t, ours.Types, len(theirs.SampleType))
	for i, st := range theirs.SampleType {
		require.Equal(t, profile.ValueType{Type: st.Type, Unit: st.Unit}, ours.Types[i])
	}
	want, got := googleSums(theirs), sums(ours)
	if !maps.Equal(want, got) {
		require.Equal(t, want, got)
	}
}

// requireClear checks that a refusal is one a client can act on.
func requireClear(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	require.Contains(t, []fault.Kind{fault.Invalid, fault.TooLarge}, fault.KindOf(err), "%v", err)
	require.Contains(t, []string{"malformed_profile", "profile_size_limit"}, fault.ReasonOf(err), "%v", err)
}

// documentedRefusal reports whether ours may refuse what google/pprof accepts.
func documentedRefusal(p *google.Profile, raw []byte) bool {
	return len(p.SampleType) == 0 || !utf8.Valid(raw)
}

// sumKey is what sums are held by: the stack with lines, root first, and labels.
type sumKey struct {
	column int
	stack  string
	labels string
}

func googleSums(p *google.Profile) map[sumKey]int64 {
	out := map[sumKey]int64{}
	sets := map[string]bool{}
	for _, s := range p.Sample {
		if slices.ContainsFunc(s.Value, func(v int64) bool { return v < 0 }) || !slices.ContainsFunc(s.Value, func(v int64) bool { return v != 0 }) {
			continue
		}
		var frames []string
		for _, l := range s.Location {
			for _, line := range l.Line {
				frames = append(frames, plainName(line.Function.Name)+":"+strconv.FormatInt(line.Line, 10))
			}
			if len(l.Line) == 0 {
				frames = append(frames, addressName(l)+":0")
			}
		}
		if len(frames) > pprof.DefaultMaxStackDepth {
			frames = cut(s, frames)
		}
		slices.Reverse(frames)
		labels := googleLabels(s.Label)
		if labels != "" && !sets[labels] {
			if len(sets) == pprof.DefaultMaxSampleLabelSets {
				labels = ""
			} else {
				sets[labels] = true
			}
		}
		for i, v := range s.Value {
			out[sumKey{i, strings.Join(frames, "\x00"), labels}] += v
		}
	}
	return out
}

// cut shortens frames, leaf first, by whole locations.
func cut(s *google.Sample, frames []string) []string {
	n := 0
	for _, l := range s.Location {
		lines := max(len(l.Line), 1)
		if n+lines > pprof.DefaultMaxStackDepth-1 {
			break
		}
		n += lines
	}
	return append(frames[:n:n], "[truncated]:0")
}

func googleLabels(labels map[string][]string) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		i := slices.IndexFunc(labels[k], func(v string) bool { return v != "" })
		switch k {
		case "", "span_id", "span id", "profile_id", "trace_id", "trace id":
			continue
		}
		if i >= 0 {
			pairs = append(pairs, k+"\x01"+labels[k][i])
		}
	}
	return strings.Join(pairs, "\x02")
}

func plainName(name string) string {
	for {
		i := strings.Index(name, "[go.shape.")
		if i < 0 {
			return name
		}
		depth, end := 0, -1
		for j, c := range []byte(name[i:]) {
			if c == '[' {
				depth++
			}
			if c == ']' {
				depth--
			}
			if depth == 0 {
				end = i + j
				break
			}
		}
		if end < 0 {
			return name
		}
		head, tail := name[:i], name[end+1:]
		// What is left of the section is settled: a mark made by joining is none.
		return head + plainName(tail)
	}
}

func addressName(l *google.Location) string {
	m, addr := l.Mapping, l.Address
	if m == nil {
		m = &google.Mapping{}
	}
	if m.Start != 0 && addr >= m.Start {
		addr = addr - m.Start + m.Offset
	}
	switch {
	case m.File != "":
		return fmt.Sprintf("%s+0x%x", path.Base(m.File), addr)
	case addr != 0:
		return fmt.Sprintf("0x%x", addr)
	}
	return "[unknown]"
}

func sums(p *profile.Profile) map[sumKey]int64 {
	out := map[sumKey]int64{}
	for i, s := range p.Samples {
		var pairs []string
		for _, l := range p.LabelSets[s.Group] {
			pairs = append(pairs, l.Name+"\x01"+l.Value)
		}
		for c, v := range p.Row(i) {
			out[sumKey{c, stackOf(p, s), strings.Join(pairs, "\x02")}] += v
		}
	}
	return out
}

// stackOf returns the frames of s with lines, root first.
func stackOf(p *profile.Profile, s profile.Sample) string {
	var frames []string
	for _, loc := range p.Frames[s.FrameStart:s.FrameEnd] {
		l := p.Locations[loc]
		for _, line := range p.Lines[l.LineStart:l.LineEnd] {
			frames = append(frames, p.Strings[p.Functions[line.Function].Name]+":"+strconv.FormatInt(line.Line, 10))
		}
	}
	slices.Reverse(frames)
	return strings.Join(frames, "\x00")
}

// requireInvariants checks P1 to P5.
func requireInvariants(t *testing.T, p *profile.Profile, maxDepth int) {
	t.Helper()
	within := func(ok bool, what string, i int) {
		if !ok {
			t.Fatalf("%s %d refers outside its array", what, i)
		}
	}
	str := func(i uint32) bool { return int(i) < len(p.Strings) }
	require.Equal(t, "", p.Strings[0])
	require.Equal(t, profile.Mapping{}, p.Mappings[0])
	require.Empty(t, p.LabelSets[0])
	for i, m := range p.Mappings {
		within(str(m.File) && str(m.BuildID), "mapping", i)
	}
	for i, f := range p.Functions {
		within(str(f.Name) && str(f.SystemName) && str(f.Filename), "function", i)
	}
	for i, l := range p.Lines {
		within(int(l.Function) < len(p.Functions), "line", i)
	}
	for i, l := range p.Locations {
		within(int(l.Mapping) < len(p.Mappings) && int(l.LineEnd) <= len(p.Lines), "location", i)
		within(l.LineStart < l.LineEnd, "location without lines", i)
	}
	require.Len(t, p.Values, len(p.Samples)*len(p.Types))
	group := uint32(0)
	for i, s := range p.Samples {
		within(int(s.FrameEnd) <= len(p.Frames) && s.FrameStart <= s.FrameEnd && int(s.Group) < len(p.LabelSets), "sample", i)
		depth := 0
		for _, loc := range p.Frames[s.FrameStart:s.FrameEnd] {
			within(int(loc) < len(p.Locations), "frame of sample", i)
			depth += int(p.Locations[loc].LineEnd - p.Locations[loc].LineStart)
		}
		require.LessOrEqual(t, depth, maxDepth)
		require.LessOrEqual(t, group, s.Group, "samples are not sorted by group")
		group = s.Group
		any := int64(0)
		for _, v := range p.Row(i) {
			require.GreaterOrEqual(t, v, int64(0))
			any |= v & math.MaxInt64
		}
		require.NotZero(t, any)
	}
}

// testdata returns the real profiles kept beside the test, by name.
func testdata(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.pb*")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(tb, err)
		out[filepath.Base(f)] = b
	}
	return out
}
