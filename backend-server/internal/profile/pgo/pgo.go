// Package pgo prepares merged profiles for profile-guided optimisation. A
// compiler looks at the last few calls of a stack only, so that a profile for
// it can be a small part of what was recorded: stacks are cut to their leaf end
// and samples that have become equal are summed.
package pgo

import (
	"encoding/binary"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Prepare returns a copy of p of which each stack keeps at most the given number
// of locations, counted from the leaf (0 keeps all). With aggregateCallees the
// line number of the leaf is taken away, so that a callee's samples become one,
// whatever line of it they hit. p stays as it is; the copy shares its tables.
func Prepare(p *profile.Profile, keep uint32, aggregateCallees bool) *profile.Profile {
	out := *p
	out.Frames, out.Samples, out.Values = nil, nil, nil
	leaf := func(l uint32) uint32 { return l }
	if aggregateCallees {
		leaf = leavesWithoutLines(&out)
	}
	seen := map[string]int{}
	var frames []uint32
	var key []byte
	for i, s := range p.Samples {
		frames = append(frames[:0], p.Frames[s.FrameStart:s.FrameEnd]...)
		if keep > 0 && len(frames) > int(keep) {
			frames = frames[:keep]
		}
		if len(frames) > 0 {
			frames[0] = leaf(frames[0])
		}
		key = binary.LittleEndian.AppendUint32(key[:0], s.Group)
		for _, f := range frames {
			key = binary.LittleEndian.AppendUint32(key, f)
		}
		at, known := seen[string(key)]
		if known {
			row := out.Row(at)
			for c, v := range p.Row(i) {
				row[c], _ = profile.AddSaturating(row[c], v)
			}
			continue
		}
		seen[string(key)] = len(out.Samples)
		start := uint32(len(out.Frames))
		out.Frames = append(out.Frames, frames...)
		out.Samples = append(out.Samples, profile.Sample{FrameStart: start, FrameEnd: uint32(len(out.Frames)), Group: s.Group})
		out.Values = append(out.Values, p.Row(i)...)
	}
	return &out
}

// leavesWithoutLines returns a function that gives a location's twin without
// the line number of its innermost frame; equal twins are one. New locations
// and lines are added to copies of p's tables.
func leavesWithoutLines(p *profile.Profile) func(uint32) uint32 {
	p.Locations = p.Locations[:len(p.Locations):len(p.Locations)]
	p.Lines = p.Lines[:len(p.Lines):len(p.Lines)]
	twins := map[uint32]uint32{}
	byContent := map[string]uint32{}
	return func(location uint32) uint32 {
		if twin, ok := twins[location]; ok {
			return twin
		}
		l := p.Locations[location]
		lines := p.Lines[l.LineStart:l.LineEnd]
		key := binary.LittleEndian.AppendUint32(nil, l.Mapping)
		for i, line := range lines {
			key = binary.LittleEndian.AppendUint32(key, line.Function)
			if i > 0 {
				key = binary.LittleEndian.AppendUint64(key, uint64(line.Line))
			}
		}
		twin, ok := byContent[string(key)]
		if !ok {
			twin = uint32(len(p.Locations))
			start := uint32(len(p.Lines))
			p.Lines = append(p.Lines, lines...)
			if len(lines) > 0 {
				p.Lines[start].Line = 0
			}
			p.Locations = append(p.Locations, profile.Location{Mapping: l.Mapping, LineStart: start, LineEnd: uint32(len(p.Lines))})
			byContent[string(key)] = twin
		}
		twins[location] = twin
		return twin
	}
}
