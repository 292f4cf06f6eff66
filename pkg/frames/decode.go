package frames

import (
	"math"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// numbersPerBar is offset, total, self, name index.
const numbersPerBar = 4

// node is one bar of a flame graph, visited in depth-first order.
type node struct {
	level       int
	total, self int64
	name        int // index into the graph's names
}

// bar is a node with the place that its level gave it.
type bar struct {
	start, end int64
	node
}

// walk calls visit for every node of g in depth-first order, children from
// left to right. A graph without levels has no nodes.
func walk(g upstream.FlameGraph, visit func(node)) error {
	levels, err := decodeLevels(g)
	if err != nil || len(levels) == 0 {
		return err
	}
	next := make([]int, len(levels)+1) // first bar of each level not yet visited
	open := []bar{levels[0][0]}        // the path from the root to the bar at hand
	next[0] = 1
	visit(open[0].node)
	for len(open) > 0 {
		parent := open[len(open)-1]
		child, ok := nextChild(levels, next, parent)
		if !ok {
			open = open[:len(open)-1]
			continue
		}
		if child.start < parent.start || child.end > parent.end {
			return upstream.Malformed("flame graph level %d: bar %d..%d crosses the edge of its parent %d..%d", child.level, child.start, child.end, parent.start, parent.end)
		}
		visit(child.node)
		open = append(open, child)
	}
	for l := range levels {
		if next[l] != len(levels[l]) {
			return upstream.Malformed("flame graph level %d: bar %d has no parent", l, next[l])
		}
	}
	return nil
}

// nextChild takes the next bar of the level below parent, if it starts within
// parent. Bars of width zero at a border belong to the bar at their left.
func nextChild(levels [][]bar, next []int, parent bar) (bar, bool) {
	l := parent.level + 1
	if l >= len(levels) || next[l] >= len(levels[l]) {
		return bar{}, false
	}
	child := levels[l][next[l]]
	inside := child.start < parent.end || child.start == parent.end && child.end == parent.end
	if !inside {
		return bar{}, false
	}
	next[l]++
	return child, true
}

// decodeLevels checks rules L1, L2, L3 and L5 and makes starts absolute.
func decodeLevels(g upstream.FlameGraph) ([][]bar, error) {
	levels := make([][]bar, 0, len(g.Levels))
	for l, values := range g.Levels {
		if len(values)%numbersPerBar != 0 {
			return nil, upstream.Malformed("flame graph level %d: %d numbers, not a multiple of %d", l, len(values), numbersPerBar)
		}
		bars := make([]bar, 0, len(values)/numbersPerBar)
		var end int64
		for i := 0; i < len(values); i += numbersPerBar {
			b, err := decodeBar(l, end, values[i:i+numbersPerBar], len(g.Names))
			if err != nil {
				return nil, err
			}
			end = b.end
			bars = append(bars, b)
		}
		levels = append(levels, bars)
	}
	if len(levels) > 0 && (len(levels[0]) != 1 || levels[0][0].start != 0) {
		return nil, upstream.Malformed("flame graph level 0: %d bars, want one that starts at 0", len(levels[0]))
	}
	return levels, nil
}

func decodeBar(level int, previousEnd int64, values []int64, names int) (bar, error) {
	offset, total, self, name := values[0], values[1], values[2], values[3]
	switch {
	case offset < 0 || total < 0 || self < 0:
		return bar{}, upstream.Malformed("flame graph level %d: negative number in bar %v", level, values)
	case self > total:
		return bar{}, upstream.Malformed("flame graph level %d: self %d is over total %d", level, self, total)
	case name < 0 || name >= int64(names):
		return bar{}, upstream.Malformed("flame graph level %d: name %d of %d", level, name, names)
	case offset > math.MaxInt64-previousEnd || total > math.MaxInt64-previousEnd-offset:
		return bar{}, upstream.Malformed("flame graph level %d: bars are wider than 64 bits", level)
	}
	start := previousEnd + offset
	return bar{start: start, end: start + total, node: node{level: level, total: total, self: self, name: int(name)}}, nil
}

// Check reports whether g can be drawn: it keeps the rules of this package.
func Check(g upstream.FlameGraph) error { return walk(g, func(node) {}) }
