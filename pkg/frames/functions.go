package frames

import (
	"cmp"
	"slices"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// Function is what one function used itself and with all that it called.
type Function struct {
	Name  string `json:"name"`
	Self  int64  `json:"self"`
	Total int64  `json:"total"`
}

// Functions sums g by function, largest self first. A function that calls
// itself is counted once per call path: only its outermost node adds to the
// total. The root is no function and is left out.
func Functions(g upstream.FlameGraph) ([]Function, error) {
	var (
		index = map[string]int{} // names may repeat in an answer
		out   = []Function{}
		path  []int // function of each open node, by level - 1
		onto  []int // how many open nodes each function has
	)
	err := walk(g, func(n node) {
		if n.level == 0 {
			return
		}
		for len(path) >= n.level {
			onto[path[len(path)-1]]--
			path = path[:len(path)-1]
		}
		name := g.Names[n.name]
		f, ok := index[name]
		if !ok {
			f = len(out)
			index[name] = f
			out, onto = append(out, Function{Name: name}), append(onto, 0)
		}
		out[f].Self += n.self
		if onto[f] == 0 {
			out[f].Total += n.total
		}
		onto[f]++
		path = append(path, f)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}
