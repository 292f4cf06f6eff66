package query

import (
	"context"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Profile merges what sel selects into one profile with one sample type and
// one sample for each distinct stack trace. Line numbers, file names and
// mappings are kept.
func Profile(ctx context.Context, qs []Queryable, sel Selection) (*profile.Profile, error) {
	parts, err := each(ctx, overlapping(qs, sel.Range), func(ctx context.Context, q Queryable) ([]stackSums, error) {
		return sumStacks(ctx, q, &sel)
	})
	if err != nil {
		return nil, err
	}
	m := profileMerger{in: symbols.NewInterner()}
	for _, sums := range parts {
		for i := range sums {
			m.add(sums[i].table, sums[i].cut(sel.CallSite))
		}
	}
	out := m.profile()
	out.Types = []profile.ValueType{{Type: sel.Type.SampleType, Unit: sel.Type.SampleUnit}}
	out.PeriodType = profile.ValueType{Type: sel.Type.PeriodType, Unit: sel.Type.PeriodUnit}
	out.TimeNanos = int64(sel.Range.Start) * 1e6
	out.DurationNanos = int64(sel.Range.End-sel.Range.Start) * 1e6
	return out, nil
}

// profileMerger sums by stack over partitions that each have symbols of their
// own, by interning them into common ones.
type profileMerger struct {
	in     *symbols.Interner
	mapper symbols.Mapper
	sums   []int64
}

func (m *profileMerger) add(t *symbols.Table, sums []int64) {
	// A table is a profile but for its tree of stacks.
	p := &profile.Profile{Strings: t.Strings, Mappings: t.Mappings, Functions: t.Functions, Lines: t.Lines, Locations: t.Locations}
	m.mapper.Reset(m.in, p)
	for stack, v := range sums {
		if v == 0 {
			continue
		}
		p.Frames = p.Frames[:0]
		for n := t.Stacks[stack]; n != 0; n = t.Nodes[n].Parent {
			p.Frames = append(p.Frames, t.Nodes[n].Location)
		}
		s := m.mapper.Stack(&profile.Sample{FrameEnd: uint32(len(p.Frames))})
		if int(s) >= len(m.sums) {
			m.sums = append(m.sums, 0)
		}
		m.sums[s], _ = profile.AddSaturating(m.sums[s], v)
	}
}

func (m *profileMerger) profile() *profile.Profile {
	t := m.in.View()
	p := &profile.Profile{Strings: t.Strings, Mappings: t.Mappings, Functions: t.Functions, Lines: t.Lines, Locations: t.Locations, LabelSets: [][]profile.LabelPair{nil}}
	for stack, v := range m.sums {
		start := uint32(len(p.Frames))
		for n := t.Stacks[stack]; n != 0; n = t.Nodes[n].Parent {
			p.Frames = append(p.Frames, t.Nodes[n].Location)
		}
		p.Samples = append(p.Samples, profile.Sample{FrameStart: start, FrameEnd: uint32(len(p.Frames))})
		p.Values = append(p.Values, v)
	}
	return p
}
