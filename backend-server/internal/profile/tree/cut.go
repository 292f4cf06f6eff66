package tree

// Truncate returns a copy of t that keeps the nodes of which the total is at
// least the maxNodes-th largest; nodes that share the last place all stay.
// What is left out below a node becomes its one child named Remainder. Nodes
// without any value are left out without a trace. maxNodes below 1 keeps all.
func (t *Tree) Truncate(maxNodes int) *Tree {
	out, _ := t.TruncateMap(maxNodes)
	return out
}

// TruncateMap is Truncate that also returns, by NodeID of t, the node of the
// copy that a node's own value went to.
func (t *Tree) TruncateMap(maxNodes int) (*Tree, []NodeID) {
	totals := t.Totals()
	least := t.cutValue(totals, maxNodes)
	room := len(t.nodes)
	if maxNodes > 0 {
		room = min(room, 2*maxNodes)
	}
	out := t.like(room)
	var rest remainders
	where := make([]NodeID, len(t.nodes))
	for i, n := range t.nodes[1:] {
		id := i + 1
		up := where[n.parent]
		switch {
		case totals[id] == 0 || out.nodes[up].name == Remainder:
			where[id] = up
		case totals[id] >= least && n.name != Remainder:
			where[id] = out.append(up, n.name)
		default:
			where[id] = rest.of(out, up)
		}
	}
	for id, v := range t.self {
		if v != 0 {
			out.Add(where[id], v)
		}
	}
	return out, where
}

// remainders are the children named Remainder of the nodes of a tree, by
// parent; 0 for none.
type remainders []NodeID

// of returns the Remainder below n, which it adds if there is none.
func (r *remainders) of(t *Tree, n NodeID) NodeID {
	if int(n) >= len(*r) {
		*r = append(*r, make(remainders, max(len(t.nodes), cap(t.nodes))-len(*r))...)
	}
	if (*r)[n] == 0 {
		(*r)[n] = t.append(n, Remainder)
	}
	return (*r)[n]
}

// cutValue returns the n-th largest total of the nodes that are functions, 1 if
// there are no more than n of them.
func (t *Tree) cutValue(totals []int64, n int) int64 {
	if n < 1 || len(totals)-1 <= n {
		return 1
	}
	values := make([]int64, 0, len(totals))
	for id, v := range totals {
		if v > 0 && t.nodes[id].name >= reserved {
			values = append(values, v)
		}
	}
	if len(values) <= n {
		return 1
	}
	return nthLargest(values, n)
}

// nthLargest returns the n-th largest of values, 1 ≤ n ≤ len(values), and
// reorders them. It is Hoare's quickselect with the median of three for pivot.
func nthLargest(values []int64, n int) int64 {
	lo, hi, k := 0, len(values)-1, n-1
	for lo < hi {
		pivot := medianOfThree(values[lo], values[lo+(hi-lo)/2], values[hi])
		i, j := lo, hi
		for i <= j {
			for values[i] > pivot {
				i++
			}
			for values[j] < pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return values[k]
		}
	}
	return values[k]
}

func medianOfThree(a, b, c int64) int64 {
	return max(min(a, b), min(max(a, b), c))
}

// FilterPrefix returns a copy that holds only the stacks that begin with the
// given functions, the root-most first. Without any it is a copy of all.
func (t *Tree) FilterPrefix(callSite []string) *Tree {
	site := make([]NameID, len(callSite))
	for i, function := range callSite {
		id, known := t.names.find(function)
		if !known {
			return t.like(1)
		}
		site[i] = id
	}
	const outside = noNode
	out := t.like(1)
	where := make([]NodeID, len(t.nodes))
	matched := make([]int32, len(t.nodes)) // how much of site lies on the way to the node
	for id, n := range t.nodes {
		if id > 0 {
			up := where[n.parent]
			if m := matched[n.parent]; up != outside && int(m) < len(site) {
				matched[id] = m + 1
				if n.name != site[m] {
					up = outside
				}
			} else {
				matched[id] = m
			}
			if up == outside {
				where[id] = outside
				continue
			}
			where[id] = out.append(up, n.name)
		}
		if int(matched[id]) == len(site) {
			out.self[where[id]] = t.self[id]
		}
	}
	return out
}
