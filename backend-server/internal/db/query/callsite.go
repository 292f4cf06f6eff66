package query

import "github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"

// callSiteFilter tells which stacks begin with certain functions.
type callSiteFilter struct {
	t        *symbols.Table
	callSite []string
	known    map[uint32]bool
	path     []uint32
}

func newCallSiteFilter(t *symbols.Table, callSite []string) *callSiteFilter {
	return &callSiteFilter{t: t, callSite: callSite, known: map[uint32]bool{}}
}

func (f *callSiteFilter) keeps(stack uint32) bool {
	keep, known := f.known[stack]
	if !known {
		keep = f.matches(f.t.Stacks[stack])
		f.known[stack] = keep
	}
	return keep
}

func (f *callSiteFilter) matches(node uint32) bool {
	f.path = f.path[:0]
	for ; node != 0; node = f.t.Nodes[node].Parent {
		f.path = append(f.path, f.t.Nodes[node].Location)
	}
	rest := f.callSite
	for i := len(f.path) - 1; i >= 0 && len(rest) > 0; i-- {
		l := f.t.Locations[f.path[i]]
		for j := l.LineEnd; j > l.LineStart && len(rest) > 0; j-- {
			if f.t.FunctionName(f.t.Lines[j-1].Function) != rest[0] {
				return false
			}
			rest = rest[1:]
		}
	}
	return len(rest) == 0
}
