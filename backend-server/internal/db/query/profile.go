package query

import (
	"context"
	"sync"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Profile merges what sel selects into one profile with one sample type and
// one sample for each distinct stack trace. Line numbers, file names and
// mappings are kept. The symbols are those of the units: there may be some that
// no sample refers to, and they must not be changed.
func (e *Engine) Profile(ctx context.Context, qs []Queryable, sel Selection) (*profile.Profile, error) {
	b := e.budget()
	var mu sync.Mutex
	sums := map[int]*stackSums{}
	err := sumParts(ctx, qs, &sel, b, func(_ context.Context, p *part, s *stackSums) error {
		mu.Lock()
		defer mu.Unlock()
		sums[p.index] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	parts := inOrder(sums)
	out, err := mergeProfile(ctx, parts, b)
	for _, p := range parts {
		p.release()
	}
	if err != nil {
		return nil, err
	}
	out.Types = []profile.ValueType{{Type: sel.Type.SampleType, Unit: sel.Type.SampleUnit}}
	out.PeriodType = profile.ValueType{Type: sel.Type.PeriodType, Unit: sel.Type.PeriodUnit}
	out.TimeNanos = int64(sel.Range.Start) * 1e6
	out.DurationNanos = int64(sel.Range.End-sel.Range.Start) * 1e6
	return out, nil
}

// Profile answers one question with an Engine that is new.
func Profile(ctx context.Context, qs []Queryable, sel Selection) (*profile.Profile, error) {
	return NewEngine(Limits{}).Profile(ctx, qs, sel)
}

func mergeProfile(ctx context.Context, parts []*stackSums, b *budget) (*profile.Profile, error) {
	if len(parts) == 1 {
		return oneProfile(parts[0], b)
	}
	m := profileMerger{symbols: newCommon(parts), stacks: tree.New()}
	for _, sums := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m.add(sums.table, sums.cut(sums.sel.CallSite))
		if err := m.account(b); err != nil {
			return nil, err
		}
	}
	return m.profile(b)
}

// oneProfile is the merged profile where all is in one partition, with the
// symbols of that.
func oneProfile(s *stackSums, b *budget) (*profile.Profile, error) {
	w := profileWriter{out: withSymbols(s.table), budget: b}
	for stack, v := range s.cut(s.sel.CallSite) {
		if v == 0 {
			continue
		}
		for n := s.table.Stacks[stack]; n != 0; n = s.table.Nodes[n].Parent {
			w.out.Frames = append(w.out.Frames, s.table.Nodes[n].Location)
		}
		if err := w.sample(v); err != nil {
			return nil, err
		}
	}
	return w.out, nil
}

// withSymbols returns a profile without samples that has the symbols of a
// table. A table is a profile but for its tree of stacks.
func withSymbols(t *symbols.Table) *profile.Profile {
	return &profile.Profile{
		Strings: t.Strings, Mappings: t.Mappings, Functions: t.Functions, Lines: t.Lines, Locations: t.Locations,
		LabelSets: [][]profile.LabelPair{nil},
	}
}

// profileWriter adds samples to a profile. The frames of the next one are put
// behind those of the last.
type profileWriter struct {
	out    *profile.Profile
	budget *budget
	frames int // that have a sample
}

func (w *profileWriter) sample(v int64) error {
	start := w.frames
	w.frames = len(w.out.Frames)
	w.out.Samples = append(w.out.Samples, profile.Sample{FrameStart: uint32(start), FrameEnd: uint32(w.frames)})
	w.out.Values = append(w.out.Values, v)
	return w.budget.take(bytesPerMerged + int64(w.frames-start)*bytesPerFrame)
}

// profileMerger sums by stack over partitions that each have symbols of their
// own. Their stacks are a tree like that of calls, with locations for names.
type profileMerger struct {
	symbols   *common
	stacks    *tree.Tree
	accounted int64
}

// The NameIDs of locations begin behind the one of the tree's Remainder.
const firstLocation = tree.Remainder + 1

func (m *profileMerger) add(t *symbols.Table, sums []int64) {
	self := make([]int64, len(t.Nodes))
	needed := make([]bool, len(t.Nodes))
	for stack, v := range sums {
		if v != 0 {
			node := t.Stacks[stack]
			self[node], _ = profile.AddSaturating(self[node], v)
			needed[node] = true
		}
	}
	for n := len(t.Nodes) - 1; n > 0; n-- {
		if needed[n] {
			needed[t.Nodes[n].Parent] = true
		}
	}
	adopted := m.symbols.adopt(t)
	where := make([]tree.NodeID, len(t.Nodes))
	for n, node := range t.Nodes {
		if !needed[n] {
			continue
		}
		if n > 0 {
			where[n] = m.stacks.Child(where[node.Parent], firstLocation+tree.NameID(adopted.location(node.Location)))
		}
		m.stacks.Add(where[n], self[n])
	}
}

// account takes from the budget what the merger has grown by.
func (m *profileMerger) account(b *budget) error {
	size := m.stacks.Bytes() + m.symbols.bytes()
	grown := size - m.accounted
	m.accounted = size
	return b.take(grown)
}

func (m *profileMerger) profile(b *budget) (*profile.Profile, error) {
	w := profileWriter{out: m.symbols.out, budget: b}
	for i := range m.stacks.Len() {
		leaf := tree.NodeID(i)
		v := m.stacks.Self(leaf)
		if v == 0 {
			continue
		}
		for n := leaf; n != tree.Root; n = m.stacks.Parent(n) {
			w.out.Frames = append(w.out.Frames, uint32(m.stacks.NameOf(n)-firstLocation))
		}
		if err := w.sample(v); err != nil {
			return nil, err
		}
	}
	return w.out, nil
}
