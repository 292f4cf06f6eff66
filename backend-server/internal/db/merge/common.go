package merge

import (
	"context"
	"fmt"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// common is the symbols of a partition, of all units together.
type common struct {
	partition uint32
	table     symbols.Table
	parts     []*numbers // by part
}

// numbers are those that the stack traces of a part have in the common table.
type numbers struct {
	stacks []uint32
	// folds says that two stacks of the part are one in the common table, which
	// happens where a log was damaged.
	folds bool
	at    map[uint32]int // of a row's stacks, if folds
}

func (c *common) numbers(part int) *numbers {
	if c == nil {
		return nil
	}
	return c.parts[part]
}

// common returns the symbols of a partition. Those of the one before go.
func (in *Input) common(ctx context.Context, i uint32) (*common, error) {
	if in.held != nil && in.held.partition == i {
		return in.held, nil
	}
	if int(i) >= len(in.partitions) {
		return nil, fault.New(fault.Invalid, "partition %d of %d", i, len(in.partitions))
	}
	in.held = nil
	if in.forget != nil && in.loaded > keep {
		in.forget()
		in.loaded = 0
	}
	c := &common{partition: i}
	interner := symbols.NewInterner()
	// The parts of a unit's partition share its symbols.
	type key struct {
		unit      int
		partition uint32
	}
	known := map[key]*numbers{}
	for _, p := range in.partitions[i].parts {
		k := key{p.unit, p.partition}
		if known[k] == nil {
			t, err := in.units[p.unit].Symbols(ctx, p.partition)
			if err != nil {
				return nil, fmt.Errorf("symbols of %s: %w", in.units[p.unit].Origin().ID, err)
			}
			known[k] = intern(interner, t)
			in.loaded += size(t)
		}
		c.parts = append(c.parts, known[k])
	}
	c.table = interner.View()
	in.held = c
	return c, nil
}

// size is the memory of a table, about.
func size(t *symbols.Table) int64 {
	const perString, perFunction, perLine, perLocation, perNode, perStack = 64, 24, 16, 24, 8, 4
	return int64(perString*len(t.Strings) + perFunction*len(t.Functions) + perLine*len(t.Lines) +
		perLocation*len(t.Locations) + perNode*len(t.Nodes) + perStack*len(t.Stacks))
}

// stacksAtOnce bounds the frames that are written out at a time.
const stacksAtOnce = 4096

// intern adds the stack traces of a table.
func intern(in *symbols.Interner, t *symbols.Table) *numbers {
	p := &profile.Profile{Strings: t.Strings, Mappings: t.Mappings, Functions: t.Functions, Lines: t.Lines, Locations: t.Locations}
	out := &numbers{stacks: make([]uint32, 0, len(t.Stacks))}
	var m symbols.Mapper
	m.Reset(in, p)
	for first := 0; first < len(t.Stacks); first += stacksAtOnce {
		p.Frames, p.Samples = p.Frames[:0], p.Samples[:0]
		for _, node := range t.Stacks[first:min(first+stacksAtOnce, len(t.Stacks))] {
			start := uint32(len(p.Frames))
			for n := node; n != 0; n = t.Nodes[n].Parent {
				p.Frames = append(p.Frames, t.Nodes[n].Location)
			}
			p.Samples = append(p.Samples, profile.Sample{FrameStart: start, FrameEnd: uint32(len(p.Frames))})
		}
		m.Digest(p.Samples)
		out.stacks = m.Stacks(out.stacks)
	}
	out.folds = !distinct(out.stacks, len(in.View().Stacks))
	return out
}

func distinct(stacks []uint32, n int) bool {
	seen := make([]bool, n)
	for _, s := range stacks {
		if seen[s] {
			return false
		}
		seen[s] = true
	}
	return true
}

// translate gives out the samples of r, by common stacks.
func (n *numbers) translate(r, out *query.Row) error {
	out.Stacks, out.Values, out.Spans = out.Stacks[:0], append(out.Values[:0], r.Values...), append(out.Spans[:0], r.Spans...)
	for _, s := range r.Stacks {
		if int(s) >= len(n.stacks) {
			return fault.New(fault.Corrupt, "stack %d of %d", s, len(n.stacks))
		}
		out.Stacks = append(out.Stacks, n.stacks[s])
	}
	for i := range out.Spans {
		s := &out.Spans[i]
		if int(s.Stack) >= len(n.stacks) {
			return fault.New(fault.Corrupt, "stack %d of %d in a span", s.Stack, len(n.stacks))
		}
		s.Stack = n.stacks[s.Stack]
	}
	if n.folds {
		n.fold(out)
	}
	return nil
}

// fold adds up the values of equal stacks.
func (n *numbers) fold(r *query.Row) {
	if n.at == nil {
		n.at = map[uint32]int{}
	}
	clear(n.at)
	kept := 0
	for i, s := range r.Stacks {
		if at, ok := n.at[s]; ok {
			r.Values[at] += r.Values[i]
			continue
		}
		n.at[s] = kept
		r.Stacks[kept], r.Values[kept] = s, r.Values[i]
		kept++
	}
	r.Stacks, r.Values, r.N = r.Stacks[:kept], r.Values[:kept], kept
}
