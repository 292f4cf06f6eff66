package pgo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// sample returns a profile of three functions f, g, h with one location a line.
func sample() *profile.Profile {
	p := &profile.Profile{
		Types:     []profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
		Strings:   []string{"", "f", "g", "h"},
		Mappings:  []profile.Mapping{{}},
		Functions: []profile.Function{{Name: 1}, {Name: 2}, {Name: 3}},
		LabelSets: [][]profile.LabelPair{nil},
	}
	location := func(function uint32, line int64) uint32 {
		at := uint32(len(p.Lines))
		p.Lines = append(p.Lines, profile.Line{Function: function, Line: line})
		p.Locations = append(p.Locations, profile.Location{LineStart: at, LineEnd: at + 1})
		return at
	}
	f1, f2, g1, h1 := location(0, 1), location(0, 2), location(1, 1), location(2, 1)
	for i, stack := range [][]uint32{{f1, g1, h1}, {f2, g1, h1}, {f1, g1}, {g1}, nil} {
		start := uint32(len(p.Frames))
		p.Frames = append(p.Frames, stack...)
		p.Samples = append(p.Samples, profile.Sample{FrameStart: start, FrameEnd: uint32(len(p.Frames))})
		p.Values = append(p.Values, 1<<i)
	}
	return p
}

func stacks(p *profile.Profile) map[string]int64 {
	out := map[string]int64{}
	for i, s := range p.Samples {
		var frames []string
		for _, l := range p.Frames[s.FrameStart:s.FrameEnd] {
			for _, line := range p.Lines[p.Locations[l].LineStart:p.Locations[l].LineEnd] {
				frames = append(frames, fmt.Sprintf("%s:%d", p.Strings[p.Functions[line.Function].Name], line.Line))
			}
		}
		out[strings.Join(frames, " ")] += p.Row(i)[0]
	}
	return out
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		keep      uint32
		aggregate bool
		samples   int
		want      map[string]int64
	}{
		{0, false, 5, map[string]int64{"f:1 g:1 h:1": 1, "f:2 g:1 h:1": 2, "f:1 g:1": 4, "g:1": 8, "": 16}},
		{2, false, 4, map[string]int64{"f:1 g:1": 5, "f:2 g:1": 2, "g:1": 8, "": 16}},
		{2, true, 3, map[string]int64{"f:0 g:1": 7, "g:0": 8, "": 16}},
		{0, true, 4, map[string]int64{"f:0 g:1 h:1": 3, "f:0 g:1": 4, "g:0": 8, "": 16}},
		{1, true, 3, map[string]int64{"f:0": 7, "g:0": 8, "": 16}},
	} {
		p := sample()
		before := stacks(p)
		got := Prepare(p, c.keep, c.aggregate)
		require.Equal(t, c.want, stacks(got))
		require.Len(t, got.Samples, c.samples)
		require.Equal(t, before, stacks(p), "the original stays")
		require.Len(t, p.Locations, 4)
	}
}
