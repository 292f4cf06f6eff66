package frames

import (
	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// flameMeta is what the flame graph panel reads beside the rows.
type flameMeta struct {
	ProfileTypeID string `json:"profileTypeID"`
	Total         int64  `json:"total"`
}

// FlameGraph returns g as a nested set: the fields level, value, self, label,
// one row a node in depth-first order. Without data the frame has no rows.
func FlameGraph(g upstream.FlameGraph, profileTypeID string) (*data.Frame, error) {
	var n int
	for _, l := range g.Levels {
		n += len(l) / numbersPerBar
	}
	level, value, self, label := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]string, 0, n)
	err := walk(g, func(n node) {
		level = append(level, int64(n.level))
		value = append(value, n.total)
		self = append(self, n.self)
		label = append(label, g.Names[n.name])
	})
	if err != nil {
		return nil, err
	}
	unit := &data.FieldConfig{Unit: Unit(upstream.SampleUnit(profileTypeID))}
	frame := data.NewFrame("flamegraph",
		data.NewField("level", nil, level),
		data.NewField("value", nil, value).SetConfig(unit),
		data.NewField("self", nil, self).SetConfig(unit),
		data.NewField("label", nil, label))
	frame.Meta = &data.FrameMeta{
		PreferredVisualization: data.VisTypeFlameGraph,
		Custom:                 flameMeta{ProfileTypeID: profileTypeID, Total: g.Total},
	}
	return frame, nil
}

// Unit returns Grafana's name of a unit of samples.
func Unit(sampleUnit string) string {
	switch sampleUnit {
	case "nanoseconds":
		return "ns"
	case "microseconds":
		return "µs"
	case "milliseconds":
		return "ms"
	case "seconds":
		return "s"
	case "bytes":
		return "bytes"
	default:
		return "short"
	}
}
