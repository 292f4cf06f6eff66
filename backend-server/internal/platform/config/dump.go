package config

import (
	"flag"
	"strings"

	"gopkg.in/yaml.v3"
)

// Dump returns the settings of fs as YAML that Load would read (C3).
func Dump(fs *flag.FlagSet) ([]byte, error) {
	root := map[string]any{}
	fs.VisitAll(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "config.") {
			return
		}
		put(root, strings.Split(f.Name, "."), value(f))
	})
	return yaml.Marshal(root)
}

func value(f *flag.Flag) any {
	g, ok := f.Value.(flag.Getter)
	if !ok {
		return f.Value.String()
	}
	switch v := g.Get().(type) {
	case bool, int, int64, uint, uint64, float64:
		return v
	case []string:
		if v == nil {
			return []string{}
		}
		return v
	}
	return f.Value.String()
}

// put stores v under the nested keys path. Where a key is both a value and a
// parent, the longer name is kept flat.
func put(node map[string]any, path []string, v any) {
	for len(path) > 1 {
		child, ok := node[path[0]].(map[string]any)
		if !ok {
			if node[path[0]] != nil {
				break
			}
			child = map[string]any{}
			node[path[0]] = child
		}
		node, path = child, path[1:]
	}
	node[strings.Join(path, ".")] = v
}

// nearest returns the flag whose name is closest to name, or "" if none is
// close.
func nearest(fs *flag.FlagSet, name string) string {
	best, at := "", len(name)/4+1
	fs.VisitAll(func(f *flag.Flag) {
		if d := distance(name, f.Name); d <= at && (best == "" || d < at) {
			best, at = f.Name, d
		}
	})
	return best
}

// distance is the Levenshtein distance of a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
