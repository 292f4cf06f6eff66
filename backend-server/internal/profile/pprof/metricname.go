package pprof

import (
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// MetricName chooses the first part of the profile type ID, the label __name__,
// for a profile that came without one, from its sample types. display holds
// other names that the sender gave for sample types; they decide first.
func MetricName(types []profile.ValueType, display map[string]string) string {
	last := "other"
	for _, t := range types {
		if t.Type == "wall" {
			return "wall"
		}
	}
	for _, t := range types {
		name := t.Type
		if d := display[name]; d != "" {
			name = d
		}
		switch {
		case strings.Contains(name, "cpu"):
			return "process_cpu"
		case strings.Contains(name, "alloc_"), strings.Contains(name, "inuse_"), name == "space", name == "objects":
			return "memory"
		case strings.Contains(name, "mutex_"):
			return "mutex"
		case strings.Contains(name, "block_"):
			return "block"
		case strings.Contains(name, "goroutines"):
			return "goroutines"
		}
		if name != "" {
			last = name
		}
	}
	return last
}
