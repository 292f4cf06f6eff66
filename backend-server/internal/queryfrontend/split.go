package queryfrontend

import (
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// mostParts bounds the parts of a question. One about a very long time is cut
// into longer ones.
const mostParts = 256

// split cuts a question about samples in time, so that the parts together count
// every profile once: at multiples of the interval, for then questions that are
// asked again a little later have most parts in common. A series is cut between
// two points, never within one.
func split(q *question.Question, interval time.Duration) []*question.Question {
	whole := []*question.Question{q}
	millis := interval.Milliseconds()
	if millis <= 0 {
		return whole
	}
	switch q.Kind {
	case question.Tree, question.Profile:
		return splitRange(q, millis)
	case question.Series:
		return splitGrid(q, millis)
	}
	return whole
}

// wide returns the interval, or the least multiple of it by a power of two that
// makes no more than mostParts of a range.
func wide(millis int64, start, end profile.UnixMilli) int64 {
	for int64(end)/millis-int64(start)/millis >= mostParts {
		millis *= 2
	}
	return millis
}

func splitRange(q *question.Question, millis int64) []*question.Question {
	r := q.Selection.Range
	millis = wide(millis, r.Start, r.End)
	var out []*question.Question
	for r.Start <= r.End {
		part := *q
		next := profile.UnixMilli((floor(int64(r.Start), millis) + 1) * millis)
		part.Selection.Range = profile.TimeRange{Start: r.Start, End: min(r.End, next-1)}
		out = append(out, &part)
		r.Start = next
	}
	return out
}

func splitGrid(q *question.Question, millis int64) []*question.Question {
	g := q.Grid
	millis = wide(millis, g.Start, g.End)
	step := g.StepMillis
	var out []*question.Question
	for point, points := int64(0), g.Points(); point < points; {
		start := int64(g.Start) + point*step
		border := (floor(start, millis) + 1) * millis // of the points before it, the last is in this part
		n := min((border-1-start)/step+1, points-point)
		part := *q
		part.Grid = series.Grid{Start: profile.UnixMilli(start), End: profile.UnixMilli(start + (n-1)*step), StepMillis: step}
		point += n
		if point == points {
			part.Grid.End = g.End // which need not be a point
		}
		part.Selection.Range = part.Grid.Range()
		out = append(out, &part)
	}
	return out
}

// floor is a/b rounded down.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
