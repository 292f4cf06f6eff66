package query

import (
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
)

const (
	defaultRange   = time.Hour
	leastStep      = 15   // seconds, of a timeline
	timelinePoints = 1500 // most of a timeline, as far as leastStep allows
)

// timelineStep returns the step of a timeline in whole seconds.
func timelineStep(start, end profile.UnixMilli) float64 {
	const perStep = timelinePoints * 1000
	return float64(max(leastStep, int64(end-start+perStep-1)/perStep))
}

// toTimeline fills the gaps of a series.
func toTimeline(all []series.Series, req request.Series) timeline {
	step := int64(req.StepSeconds)
	grid := series.Grid{Start: req.Start, End: req.End, StepMillis: step * 1000}
	out := timeline{StartTime: int64(req.Start) / 1000, DurationDelta: step, Samples: make([]float64, grid.Points())}
	for _, s := range all {
		for _, p := range s.Points {
			if i := int64(p.Time-req.Start) / grid.StepMillis; i >= 0 && i < int64(len(out.Samples)) {
				out.Samples[i] += p.Value
			}
		}
	}
	return out
}

// describe tells the older user interface how to show values: as samples of a
// rate that turns them into seconds where they are times.
func describe(format, typeID string) metadata {
	out := metadata{Format: format, Units: "samples", SampleRate: 100}
	typ, err := profile.ParseType(typeID)
	if err != nil {
		return out
	}
	out.Name = typ.SampleType
	switch typ.SampleUnit {
	case "nanoseconds":
		out.SampleRate = int64(time.Second)
		if typ.Name == "mutex" || typ.Name == "block" {
			out.Units = "lock_nanoseconds"
		}
	case "bytes":
		out.Units = "bytes"
	case "count":
		out.Units = "objects"
		switch typ.Name {
		case "goroutine", "goroutines":
			out.Units = "goroutines"
		case "mutex", "block":
			out.Units = "lock_samples"
		}
	}
	return out
}
