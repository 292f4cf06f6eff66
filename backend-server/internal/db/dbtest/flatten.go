package dbtest

import (
	"fmt"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// FlattenTree returns the values of a tree's nodes by path.
func FlattenTree(t *tree.Tree) Stacks {
	out := Stacks{}
	paths := make([]string, t.Len())
	for n := range paths {
		id := tree.NodeID(n)
		if n > 0 {
			paths[n] = t.Label(t.NameOf(id))
			if parent := paths[t.Parent(id)]; parent != "" {
				paths[n] = parent + ";" + paths[n]
			}
		}
		if v := t.Self(id); v != 0 {
			out[paths[n]] += v
		}
	}
	return out
}

// FlattenProfile returns the values of a profile's samples by stack.
func FlattenProfile(p *profile.Profile) Stacks {
	out := Stacks{}
	for i, s := range p.Samples {
		out[Frames(p, s, true)] += p.Row(i)[0]
	}
	return out
}

// FlattenSeries returns the points of series by group and time.
func FlattenSeries(list []series.Series, groupBy []string) map[string]int64 {
	out := map[string]int64{}
	for _, s := range list {
		var group []string
		for _, name := range groupBy {
			group = append(group, s.Labels.Get(name))
		}
		for _, p := range s.Points {
			out[fmt.Sprintf("%s@%d", strings.Join(group, ","), p.Time)] += int64(p.Value)
		}
	}
	return out
}

// FlattenFunctions returns functions by name.
func FlattenFunctions(list []tree.Function) map[string]tree.Function {
	out := map[string]tree.Function{}
	for _, f := range list {
		out[f.Name] = f
	}
	return out
}
