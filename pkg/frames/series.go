package frames

import (
	"maps"
	"slices"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// Series returns a frame a series: time and value, the series' labels on the
// value. Without data it returns one frame without rows, so that a panel can
// tell "nothing there" from "not asked".
func Series(series []upstream.Series, profileTypeID string) data.Frames {
	if len(series) == 0 {
		return data.Frames{seriesFrame(upstream.Series{}, profileTypeID)}
	}
	frames := make(data.Frames, 0, len(series))
	for _, s := range series {
		frames = append(frames, seriesFrame(s, profileTypeID))
	}
	return frames
}

func seriesFrame(s upstream.Series, profileTypeID string) *data.Frame {
	times, values := make([]time.Time, 0, len(s.Points)), make([]float64, 0, len(s.Points))
	for _, p := range s.Points {
		times = append(times, time.UnixMilli(p.Time).UTC())
		values = append(values, p.Value)
	}
	var labels data.Labels
	if len(s.Labels) > 0 {
		labels = data.Labels(maps.Clone(s.Labels))
	}
	config := &data.FieldConfig{
		Unit:              Unit(upstream.SampleUnit(profileTypeID)),
		DisplayNameFromDS: displayName(s.Labels, profileTypeID),
	}
	frame := data.NewFrame("",
		data.NewField("time", nil, times),
		data.NewField("value", labels, values).SetConfig(config))
	frame.Meta = &data.FrameMeta{Type: data.FrameTypeTimeSeriesMulti, TypeVersion: data.FrameTypeVersion{0, 1}}
	return frame
}

// displayName is the sample type of the one series without labels, or the
// label's value where one label tells the series apart. Where several do,
// Grafana writes them all.
func displayName(labels map[string]string, profileTypeID string) string {
	switch len(labels) {
	case 0:
		return upstream.SampleType(profileTypeID)
	case 1:
		return slices.Collect(maps.Values(labels))[0]
	default:
		return ""
	}
}
