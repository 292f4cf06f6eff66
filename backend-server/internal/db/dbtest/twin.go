// Package dbtest holds the engine to account: a generator of profiles and a
// twin of the database that is so simple that it cannot be wrong, a slice of
// records that every answer is computed from anew.
package dbtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Stacks are values by stack trace: its frames, the root first, joined by
// semicolons.
type Stacks map[string]int64

// Twin is a list of the records that a database was given and acknowledged.
type Twin struct {
	Records []profile.Record
	// Deleted says of a series, with the labels of its profile type, and a time
	// that what there is is not to be shown. Nil for nothing.
	Deleted func(labels.Labels, profile.UnixMilli) bool

	known  map[string]bool
	flat   [][]flatSample // of each record
	totals map[string]*totals
}

// flatSample is a sample with its frames as text. They are kept since they are
// looked at again and again. values are those of the profile but for running
// totals, of which they are what the totals of the stack grew by; later samples
// of the same stack have 0.
type flatSample struct {
	names, lines string
	values       []int64
}

// totals are the running totals of a series, by stack.
type totals struct {
	time  profile.UnixMilli
	stack map[string]int64
}

// Add adds records, each of which is kept once.
func (t *Twin) Add(recs ...profile.Record) {
	if t.known == nil {
		t.known = map[string]bool{}
	}
	for _, r := range recs {
		key := fmt.Sprint(r.ID, r.Labels)
		if t.known[key] {
			continue
		}
		t.known[key] = true
		t.Records = append(t.Records, r)
		flat := make([]flatSample, len(r.Profile.Samples))
		for i, s := range r.Profile.Samples {
			flat[i] = flatSample{Frames(r.Profile, s, false), Frames(r.Profile, s, true), slices.Clone(r.Profile.Row(i))}
		}
		for c, column := range r.Profile.Types {
			if isCounter(r.Labels, column) {
				t.count(&r, c, flat)
			}
		}
		t.flat = append(t.flat, flat)
	}
}

// isCounter says whether values are running totals.
func isCounter(ls labels.Labels, column profile.ValueType) bool {
	return strings.HasPrefix(column.Type, "alloc_") && ls.Get(profile.LabelName) == "memory" && ls.Get(profile.LabelDelta) != "false"
}

// count puts what the totals in column c grew by in the place of the totals.
// The first profile of a series, one that is not newer than the one before, and
// one of which a total fell, yield nothing.
func (t *Twin) count(r *profile.Record, c int, flat []flatSample) {
	now, sum := map[string]int64{}, int64(0)
	for i := r.SampleStart; i < r.SampleEnd; i++ {
		now[identity(r.Profile, r.Profile.Samples[i])] += flat[i].values[c]
		sum += flat[i].values[c]
		flat[i].values[c] = 0
	}
	if t.totals == nil {
		t.totals = map[string]*totals{}
	}
	key := profile.TypeLabels(r.Labels, r.Profile.Types[c], r.Profile.PeriodType).String()
	before := t.totals[key]
	if before == nil && sum == 0 || before != nil && r.Time <= before.time {
		return
	}
	t.totals[key] = &totals{r.Time, now}
	if before == nil {
		return
	}
	for stack, v := range before.stack {
		if now[stack] < v {
			return
		}
	}
	for i := r.SampleStart; i < r.SampleEnd; i++ {
		stack := identity(r.Profile, r.Profile.Samples[i])
		flat[i].values[c] = now[stack] - before.stack[stack]
		before.stack[stack] = now[stack]
	}
}

// identity tells stacks apart that have the same frames: by location.
func identity(p *profile.Profile, s profile.Sample) string {
	var out strings.Builder
	for _, at := range p.Frames[s.FrameStart:s.FrameEnd] {
		l := p.Locations[at]
		fmt.Fprintf(&out, "%d", l.Mapping)
		for _, line := range p.Lines[l.LineStart:l.LineEnd] {
			fmt.Fprintf(&out, " %s:%d", p.Strings[p.Functions[line.Function].Name], line.Line)
		}
		out.WriteByte(';')
	}
	return out.String()
}

// each calls fn for every sample of the given type that the selection takes.
func (t *Twin) each(sel query.Selection, fn func(rec *profile.Record, s flatSample, value int64)) {
	for n := range t.Records {
		r := &t.Records[n]
		if !sel.Range.Contains(r.Time) {
			continue
		}
		if sel.ProfileIDs != nil && !slices.Contains(sel.ProfileIDs, head.Key(r)) {
			continue
		}
		for c, column := range r.Profile.Types {
			ls := profile.TypeLabels(r.Labels, column, r.Profile.PeriodType)
			if ls.Get(profile.LabelProfileType) != sel.Type.String() || !matches(ls, sel.Matchers) || t.deleted(ls, r.Time) {
				continue
			}
			if sel.Spans != nil && isCounter(r.Labels, column) { // not taken apart by span
				continue
			}
			for i := r.SampleStart; i < r.SampleEnd; i++ {
				if spanKept(r.Profile.Samples[i], sel.Spans) && strings.HasPrefix(t.flat[n][i].names+";", strings.Join(append(sel.CallSite, ""), ";")) {
					fn(r, t.flat[n][i], t.flat[n][i].values[c])
				}
			}
		}
	}
}

func matches(ls labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

func spanKept(s profile.Sample, spans []uint64) bool {
	if spans == nil {
		return true
	}
	for _, id := range spans {
		if s.SpanID == id {
			return true
		}
	}
	return false
}

// Frames returns the frames of a sample, the root first.
func Frames(p *profile.Profile, s profile.Sample, lines bool) string {
	var out []string
	for i := int(s.FrameEnd) - 1; i >= int(s.FrameStart); i-- {
		l := p.Locations[p.Frames[i]]
		for j := int(l.LineEnd) - 1; j >= int(l.LineStart); j-- {
			line := p.Lines[j]
			name := p.Strings[p.Functions[line.Function].Name]
			if lines {
				name += ":" + strconv.FormatInt(line.Line, 10)
			}
			out = append(out, name)
		}
	}
	return strings.Join(out, ";")
}

func (t *Twin) deleted(ls labels.Labels, at profile.UnixMilli) bool {
	return t.Deleted != nil && t.Deleted(ls, at)
}

// Tree is what query.Tree should hold.
func (t *Twin) Tree(sel query.Selection) Stacks {
	out := Stacks{}
	t.each(sel, func(_ *profile.Record, s flatSample, v int64) {
		if v != 0 {
			out[s.names] += v
		}
	})
	return out
}

// Profile is what query.Profile should hold.
func (t *Twin) Profile(sel query.Selection) Stacks {
	out := Stacks{}
	t.each(sel, func(_ *profile.Record, s flatSample, v int64) {
		if v != 0 {
			out[s.lines] += v
		}
	})
	return out
}

// Functions is what query.Functions should hold, by name.
func (t *Twin) Functions(sel query.Selection) map[string]tree.Function {
	out := map[string]tree.Function{}
	for stack, v := range t.Tree(sel) {
		if stack == "" {
			continue
		}
		frames := strings.Split(stack, ";")
		for i, name := range frames {
			f := out[name]
			f.Name = name
			if i == slices.Index(frames, name) { // once, however often it is in it
				f.Total += v
			}
			if i == len(frames)-1 {
				f.Self += v
			}
			out[name] = f
		}
	}
	return out
}

// Series is what query.TimeSeries should hold: sums by group and point.
func (t *Twin) Series(sel query.SeriesSelection) map[string]int64 {
	out := map[string]int64{}
	sel.Range = profile.TimeRange{Start: sel.Grid.Start - profile.UnixMilli(sel.Grid.StepMillis) + 1, End: sel.Grid.End}
	t.each(sel.Selection, func(rec *profile.Record, _ flatSample, v int64) {
		step := profile.UnixMilli(sel.Grid.StepMillis)
		at := sel.Grid.Start
		for at < rec.Time {
			at += step
		}
		var group []string
		for _, name := range sel.GroupBy {
			group = append(group, rec.Labels.Get(name))
		}
		if v != 0 {
			out[fmt.Sprintf("%s@%d", strings.Join(group, ","), at)] += v
		}
	})
	return out
}

// LabelSets returns the labels of the series, by their text: all that
// query.LabelSets may list for all times, deleted ones left out, and those of them that it must,
// because there is a value.
func (t *Twin) LabelSets(matchers []*labels.Matcher) (may, must map[string]bool) {
	may, must = map[string]bool{}, map[string]bool{}
	for n, r := range t.Records {
		for c, column := range r.Profile.Types {
			ls := profile.TypeLabels(r.Labels, column, r.Profile.PeriodType)
			if !matches(ls, matchers) {
				continue
			}
			if t.deleted(ls, r.Time) {
				continue
			}
			may[ls.String()] = true
			for i := r.SampleStart; i < r.SampleEnd; i++ {
				if t.flat[n][i].values[c] != 0 {
					must[ls.String()] = true
				}
			}
		}
	}
	return may, must
}
