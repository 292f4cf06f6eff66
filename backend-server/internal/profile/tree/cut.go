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
	out := New()
	out.Saturated = t.Saturated
	if maxNodes > 0 {
		out.reserve(min(len(t.nodes), 2*maxNodes))
	} else {
		out.reserve(len(t.nodes))
	}
	names := make([]NameID, len(t.names))
	names[Remainder] = Remainder
	where := make([]NodeID, len(t.nodes))
	for i, n := range t.nodes[1:] {
		id := i + 1
		up := where[n.parent]
		switch {
		case totals[id] == 0 || out.nodes[up].name == Remainder:
			where[id] = up
		case totals[id] >= least:
			if names[n.name] == 0 {
				names[n.name] = out.ownName(t.names[n.name])
			}
			where[id] = out.Child(up, names[n.name])
		default:
			where[id] = out.Child(up, Remainder)
		}
	}
	for id, v := range t.self {
		if v != 0 {
			out.Add(where[id], v)
		}
	}
	return out, where
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
	out := New()
	out.Saturated = t.Saturated
	site := Root
	for _, function := range callSite {
		name, known := t.ids[function]
		if !known {
			return out
		}
		if site, known = t.find(site, name); !known {
			return out
		}
	}
	const outside = noNode
	names := out.adopt(t)
	where := make([]NodeID, len(t.nodes))
	for id := range t.nodes {
		where[id] = outside
	}
	where[site] = Root
	for _, function := range callSite {
		where[site] = out.Child(where[site], out.ownName(function))
	}
	for id := int(site); id < len(t.nodes); id++ {
		n := t.nodes[id]
		if NodeID(id) != site {
			if where[n.parent] == outside {
				continue
			}
			where[id] = out.Child(where[n.parent], names[n.name])
		}
		out.Add(where[id], t.self[id])
	}
	return out
}
