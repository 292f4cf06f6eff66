package block

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// rerank makes the symbols of a block from those of its source: only what the
// stacks that occur need, in the order that compresses best. counts says how
// often each stack of src occurs. The second result gives the rank of each
// source stack that occurs.
func rerank(src *symbols.Table, counts []uint32) (*symbols.Table, []uint32) {
	r := reranker{src: src, out: new(symbols.Table)}
	order := rankOrder(counts)
	ranks := make([]uint32, len(counts))
	for rank, s := range order {
		ranks[s] = uint32(rank)
	}
	r.markNodes(order)
	r.strings()
	r.mappings()
	r.functions()
	r.locations()
	nodes := r.nodes()
	for _, s := range order {
		r.out.Stacks = append(r.out.Stacks, nodes[src.Stacks[s]])
	}
	return r.out, ranks
}

// rankOrder returns the stacks that occur, by class of frequency, then by
// first sight.
func rankOrder(counts []uint32) []uint32 {
	var order []uint32
	for s, n := range counts {
		if n > 0 {
			order = append(order, uint32(s))
		}
	}
	slices.SortStableFunc(order, func(a, b uint32) int {
		return cmp.Compare(bits.Len32(counts[b]), bits.Len32(counts[a]))
	})
	return order
}

// reranker holds, for each table, the new index of each used source entry.
type reranker struct {
	src, out *symbols.Table

	usedNode, usedLocation, usedFunction, usedMapping, usedString []bool
	newString, newMapping, newFunction, newLocation               []uint32
}

func (r *reranker) markNodes(stacks []uint32) {
	s := r.src
	r.usedNode = make([]bool, len(s.Nodes))
	r.usedLocation = make([]bool, len(s.Locations))
	r.usedFunction = make([]bool, len(s.Functions))
	r.usedMapping = make([]bool, len(s.Mappings))
	r.usedString = make([]bool, len(s.Strings))
	for _, stack := range stacks {
		for n := s.Stacks[stack]; n != 0 && !r.usedNode[n]; n = s.Nodes[n].Parent {
			r.usedNode[n] = true
			r.usedLocation[s.Nodes[n].Location] = true
		}
	}
	for i, l := range s.Locations {
		if !r.usedLocation[i] {
			continue
		}
		r.usedMapping[l.Mapping] = true
		for _, line := range s.Lines[l.LineStart:l.LineEnd] {
			r.usedFunction[line.Function] = true
		}
	}
	r.usedMapping[0], r.usedString[0] = true, true
	for i, m := range s.Mappings {
		if r.usedMapping[i] {
			r.usedString[m.File], r.usedString[m.BuildID] = true, true
		}
	}
	for i, f := range s.Functions {
		if r.usedFunction[i] {
			r.usedString[f.Name], r.usedString[f.SystemName], r.usedString[f.Filename] = true, true, true
		}
	}
}

// place numbers the used entries in the order that compare gives and returns
// that order and the new number of each.
func place(used []bool, compare func(a, b uint32) int) (order, renumbered []uint32) {
	for i, u := range used {
		if u {
			order = append(order, uint32(i))
		}
	}
	slices.SortFunc(order, compare)
	renumbered = make([]uint32, len(used))
	for at, i := range order {
		renumbered[i] = uint32(at)
	}
	return order, renumbered
}

func (r *reranker) strings() {
	var order []uint32
	order, r.newString = place(r.usedString, func(a, b uint32) int { return strings.Compare(r.src.Strings[a], r.src.Strings[b]) })
	for _, i := range order {
		r.out.Strings = append(r.out.Strings, r.src.Strings[i])
	}
}

func (r *reranker) mappings() {
	var order []uint32
	order, r.newMapping = place(r.usedMapping, cmp.Compare[uint32])
	for _, i := range order {
		m := r.src.Mappings[i]
		m.File, m.BuildID = r.newString[m.File], r.newString[m.BuildID]
		r.out.Mappings = append(r.out.Mappings, m)
	}
}

func (r *reranker) functions() {
	var order []uint32
	order, r.newFunction = place(r.usedFunction, func(a, b uint32) int {
		f, g := r.src.Functions[a], r.src.Functions[b]
		return cmp.Or(cmp.Compare(r.newString[f.Name], r.newString[g.Name]), cmp.Compare(r.newString[f.SystemName], r.newString[g.SystemName]),
			cmp.Compare(r.newString[f.Filename], r.newString[g.Filename]), cmp.Compare(f.StartLine, g.StartLine))
	})
	for _, i := range order {
		f := r.src.Functions[i]
		f.Name, f.SystemName, f.Filename = r.newString[f.Name], r.newString[f.SystemName], r.newString[f.Filename]
		r.out.Functions = append(r.out.Functions, f)
	}
}

func (r *reranker) locations() {
	var order []uint32
	lines := func(i uint32) []profile.Line {
		l := r.src.Locations[i]
		return r.src.Lines[l.LineStart:l.LineEnd]
	}
	order, r.newLocation = place(r.usedLocation, func(a, b uint32) int {
		byLine := slices.CompareFunc(lines(a), lines(b), func(x, y profile.Line) int {
			return cmp.Or(cmp.Compare(r.newFunction[x.Function], r.newFunction[y.Function]), cmp.Compare(x.Line, y.Line))
		})
		l, m := r.src.Locations[a], r.src.Locations[b]
		return cmp.Or(byLine, cmp.Compare(l.Address, m.Address), cmp.Compare(l.Mapping, m.Mapping))
	})
	for _, i := range order {
		l := profile.Location{Mapping: r.newMapping[r.src.Locations[i].Mapping], Address: r.src.Locations[i].Address, LineStart: uint32(len(r.out.Lines))}
		for _, line := range lines(i) {
			r.out.Lines = append(r.out.Lines, profile.Line{Function: r.newFunction[line.Function], Line: line.Line})
		}
		l.LineEnd = uint32(len(r.out.Lines))
		r.out.Locations = append(r.out.Locations, l)
	}
}

// nodes emits the used nodes depth first, children by location, and returns
// the new index of each.
func (r *reranker) nodes() []uint32 {
	src := r.src.Nodes
	firstChild, nextSibling := make([]uint32, len(src)), make([]uint32, len(src))
	order, _ := place(r.usedNode, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(r.newLocation[src[b].Location], r.newLocation[src[a].Location]), cmp.Compare(a, b))
	})
	for _, n := range order { // descending locations, so that lists end up ascending
		nextSibling[n] = firstChild[src[n].Parent]
		firstChild[src[n].Parent] = n
	}
	renumbered := make([]uint32, len(src))
	r.out.Nodes = append(r.out.Nodes, symbols.Node{})
	for n := firstChild[0]; n != 0; {
		renumbered[n] = uint32(len(r.out.Nodes))
		r.out.Nodes = append(r.out.Nodes, symbols.Node{Parent: renumbered[src[n].Parent], Location: r.newLocation[src[n].Location]})
		if firstChild[n] != 0 {
			n = firstChild[n]
			continue
		}
		for n != 0 && nextSibling[n] == 0 {
			n = src[n].Parent
		}
		if n != 0 {
			n = nextSibling[n]
		}
	}
	return renumbered
}
