package dbtest

import (
	"cmp"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Most is the most that answers may sum up to where copies of running totals got
// lost: all that totals grew by until the end of the selection, stack by stack.
// What there is between two profiles is never more, whichever are missing between
// them. Values that are no running totals count as they are.
func (t *Twin) Most(sel query.Selection) (n int64) {
	type point struct {
		time   profile.UnixMilli
		stacks map[string]int64
	}
	counters := map[string][]point{}
	for i := range t.Records {
		r := &t.Records[i]
		for c, column := range r.Profile.Types {
			ls := profile.TypeLabels(r.Labels, column, r.Profile.PeriodType)
			if ls.Get(profile.LabelProfileType) != sel.Type.String() || !matches(ls, sel.Matchers) || r.Time > sel.Range.End {
				continue
			}
			now := map[string]int64{}
			for s := r.SampleStart; s < r.SampleEnd; s++ {
				now[identity(r.Profile, r.Profile.Samples[s])] += r.Profile.Row(s)[c]
			}
			if isCounter(r.Labels, column) {
				counters[ls.String()] = append(counters[ls.String()], point{r.Time, now})
				continue
			}
			for _, v := range now {
				n += v
			}
		}
	}
	for _, points := range counters {
		slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.time, b.time) })
		for i := 1; i < len(points); i++ {
			for stack, v := range points[i].stacks {
				n += max(0, v-points[i-1].stacks[stack])
			}
			if points[i].time == points[i-1].time { // each may be what a database has kept
				for stack, v := range points[i-1].stacks {
					n += max(0, v-points[i].stacks[stack])
				}
			}
		}
	}
	return n
}
