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
	var at [33]int
	total := 0
	for _, n := range counts {
		if n > 0 {
			at[32-bits.Len32(n)]++
			total++
		}
	}
	next := 0
	for class, n := range at {
		at[class], next = next, next+n
	}
	order := make([]uint32, total)
	for s, n := range counts {
		if n > 0 {
			class := 32 - bits.Len32(n)
			order[at[class]] = uint32(s)
			at[class]++
		}
	}
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
	order = listed(used)
	slices.SortFunc(order, compare)
	return order, numbered(order, len(used))
}

// placeBy is place for an order by a number first, which is much the cheaper
// way to compare, and then by compare. Among equal numbers it may be nil, for
// any order.
func placeBy(used []bool, number func(i uint32) uint32, compare func(a, b uint32) int) (order, renumbered []uint32) {
	keys := make([]uint64, 0, len(used))
	for i, u := range used {
		if u {
			keys = append(keys, uint64(number(uint32(i)))<<32|uint64(i))
		}
	}
	slices.Sort(keys)
	order = make([]uint32, len(keys))
	for i, k := range keys {
		order[i] = uint32(k)
	}
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to]>>32 == keys[from]>>32 {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(order[from:to], compare)
		}
		from = to
	}
	return order, numbered(order, len(used))
}

// listed returns the used entries.
func listed(used []bool) []uint32 {
	var out []uint32
	for i, u := range used {
		if u {
			out = append(out, uint32(i))
		}
	}
	return out
}

// numbered is the inverse of order.
func numbered(order []uint32, n int) []uint32 {
	out := make([]uint32, n)
	for at, i := range order {
		out[i] = uint32(at)
	}
	return out
}

func (r *reranker) strings() {
	var order []uint32
	order, r.newString = place(r.usedString, func(a, b uint32) int { return strings.Compare(r.src.Strings[a], r.src.Strings[b]) })
	for _, i := range order {
		r.out.Strings = append(r.out.Strings, r.src.Strings[i])
	}
}

func (r *reranker) mappings() {
	order := listed(r.usedMapping)
	r.newMapping = numbered(order, len(r.usedMapping))
	for _, i := range order {
		m := r.src.Mappings[i]
		m.File, m.BuildID = r.newString[m.File], r.newString[m.BuildID]
		r.out.Mappings = append(r.out.Mappings, m)
	}
}

func (r *reranker) functions() {
	var order []uint32
	src := r.src.Functions
	order, r.newFunction = placeBy(r.usedFunction, func(i uint32) uint32 { return r.newString[src[i].Name] }, func(a, b uint32) int {
		f, g := &src[a], &src[b]
		return cmp.Or(cmp.Compare(r.newString[f.SystemName], r.newString[g.SystemName]),
			cmp.Compare(r.newString[f.Filename], r.newString[g.Filename]), cmp.Compare(f.StartLine, g.StartLine))
	})
	for _, i := range order {
		f := src[i]
		f.Name, f.SystemName, f.Filename = r.newString[f.Name], r.newString[f.SystemName], r.newString[f.Filename]
		r.out.Functions = append(r.out.Functions, f)
	}
}

func (r *reranker) locations() {
	var order []uint32
	lines := func(i uint32) []profile.Line {
		l := &r.src.Locations[i]
		return r.src.Lines[l.LineStart:l.LineEnd]
	}
	innermost := func(i uint32) uint32 {
		if l := lines(i); len(l) > 0 {
			return r.newFunction[l[0].Function] + 1
		}
		return 0
	}
	order, r.newLocation = placeBy(r.usedLocation, innermost, func(a, b uint32) int {
		byLine := slices.CompareFunc(lines(a), lines(b), func(x, y profile.Line) int {
			if x.Function != y.Function {
				return cmp.Compare(r.newFunction[x.Function], r.newFunction[y.Function])
			}
			return cmp.Compare(x.Line, y.Line)
		})
		if byLine != 0 {
			return byLine
		}
		l, m := &r.src.Locations[a], &r.src.Locations[b]
		return cmp.Or(cmp.Compare(l.Address, m.Address), cmp.Compare(l.Mapping, m.Mapping))
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

// byLocation lists the used nodes by their locations, the last location first.
func (r *reranker) byLocation() []uint32 {
	counts := make([]uint32, len(r.out.Locations)+1)
	n := uint32(0)
	for i, u := range r.usedNode {
		if u {
			counts[r.newLocation[r.src.Nodes[i].Location]]++
			n++
		}
	}
	for at, l := uint32(0), len(counts)-1; l >= 0; l-- {
		counts[l], at = at, at+counts[l]
	}
	order := make([]uint32, n)
	for i, u := range r.usedNode {
		if u {
			l := r.newLocation[r.src.Nodes[i].Location]
			order[counts[l]] = uint32(i)
			counts[l]++
		}
	}
	return order
}

// nodes emits the used nodes depth first, children by location, and returns
// the new index of each.
func (r *reranker) nodes() []uint32 {
	src := r.src.Nodes
	firstChild, nextSibling := make([]uint32, len(src)), make([]uint32, len(src))
	r.out.Nodes = make([]symbols.Node, 0, len(src))
	for _, n := range r.byLocation() { // descending locations, so that lists end up ascending
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
