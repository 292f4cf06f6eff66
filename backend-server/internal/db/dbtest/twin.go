// Package dbtest holds the engine to account: a generator of profiles and a
// twin of the database that is so simple that it cannot be wrong, a slice of
// records that every answer is computed from anew.
package dbtest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// Stacks are values by stack trace: its frames, the root first, joined by
// semicolons.
type Stacks map[string]int64

// Twin is a list of the records that a database was given and acknowledged.
type Twin struct{ Records []profile.Record }

// Add adds records, each of which is kept once.
func (t *Twin) Add(recs ...profile.Record) {
next:
	for _, r := range recs {
		for _, known := range t.Records {
			if known.ID == r.ID && labels.Equal(known.Labels, r.Labels) {
				continue next
			}
		}
		t.Records = append(t.Records, r)
	}
}

// each calls fn for every sample of the given type that the selection takes.
func (t *Twin) each(sel query.Selection, fn func(rec profile.Record, s profile.Sample, value int64)) {
	for _, r := range t.Records {
		if !sel.Range.Contains(r.Time) {
			continue
		}
		for c, column := range r.Profile.Types {
			ls := profile.TypeLabels(r.Labels, column, r.Profile.PeriodType)
			if ls.Get(profile.LabelProfileType) != sel.Type.String() || !matches(ls, sel.Matchers) {
				continue
			}
			for i := r.SampleStart; i < r.SampleEnd; i++ {
				s := r.Profile.Samples[i]
				if spanKept(s, sel.Spans) && strings.HasPrefix(Frames(r.Profile, s, false)+";", strings.Join(append(sel.CallSite, ""), ";")) {
					fn(r, s, r.Profile.Row(i)[c])
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

// Tree is what query.Tree should hold.
func (t *Twin) Tree(sel query.Selection) Stacks {
	out := Stacks{}
	t.each(sel, func(rec profile.Record, s profile.Sample, v int64) {
		if v != 0 {
			out[Frames(rec.Profile, s, false)] += v
		}
	})
	return out
}

// Profile is what query.Profile should hold.
func (t *Twin) Profile(sel query.Selection) Stacks {
	out := Stacks{}
	t.each(sel, func(rec profile.Record, s profile.Sample, v int64) {
		if v != 0 {
			out[Frames(rec.Profile, s, true)] += v
		}
	})
	return out
}

// Series is what query.TimeSeries should hold: sums by group and point.
func (t *Twin) Series(sel query.SeriesSelection) map[string]int64 {
	out := map[string]int64{}
	sel.Range = profile.TimeRange{Start: sel.Grid.Start - profile.UnixMilli(sel.Grid.StepMillis) + 1, End: sel.Grid.End}
	t.each(sel.Selection, func(rec profile.Record, _ profile.Sample, v int64) {
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

// Generator makes random records.
type Generator struct {
	Rng *rand.Rand
	// Start and Length say when the profiles are of.
	Start  profile.UnixMilli
	Length int64
	nextID uint64
}

// Types are the profile types that a Generator makes.
var Types = []profile.Type{
	{Name: "process_cpu", SampleType: "samples", SampleUnit: "count", PeriodType: "cpu", PeriodUnit: "nanoseconds"},
	{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"},
	{Name: "memory", SampleType: "inuse_objects", SampleUnit: "count", PeriodType: "space", PeriodUnit: "bytes"},
	{Name: "memory", SampleType: "inuse_space", SampleUnit: "bytes", PeriodType: "space", PeriodUnit: "bytes"},
}

// Spans are the span IDs that some samples of a Generator carry.
var Spans = []uint64{0x1111, 0x2222}

// Services are the services that the records are of.
var Services = []string{"api", "db", "web"}

// Record returns a random record.
func (g *Generator) Record() profile.Record {
	g.nextID++
	which := g.Rng.IntN(2)
	p := g.profile(Types[2*which : 2*which+2])
	return profile.Record{
		ID: g.nextID,
		Labels: labels.FromStrings(
			profile.LabelName, Types[2*which].Name,
			profile.LabelServiceName, Services[g.Rng.IntN(len(Services))],
			"pod", fmt.Sprintf("pod-%d", g.Rng.IntN(3)),
		),
		Time:      g.Start + profile.UnixMilli(g.Rng.Int64N(g.Length)),
		Profile:   p,
		SampleEnd: len(p.Samples),
	}
}

// profile makes a profile whose symbols are drawn from a small world, so that
// stacks repeat, each time numbered in another way.
func (g *Generator) profile(types []profile.Type) *profile.Profile {
	p := &profile.Profile{
		PeriodType: profile.ValueType{Type: types[0].PeriodType, Unit: types[0].PeriodUnit},
		Strings:    []string{"", "main.go", "lib.go"},
		Mappings:   []profile.Mapping{{}, {Start: g.Rng.Uint64N(1 << 40), File: 1, HasFunctions: true}},
		LabelSets:  [][]profile.LabelPair{nil},
	}
	for _, t := range types {
		p.Types = append(p.Types, profile.ValueType{Type: t.SampleType, Unit: t.SampleUnit})
	}
	world := g.Rng.Perm(12)
	for _, f := range world {
		p.Strings = append(p.Strings, fmt.Sprintf("fn%d", f))
		p.Functions = append(p.Functions, profile.Function{Name: uint32(len(p.Strings) - 1), SystemName: uint32(len(p.Strings) - 1), Filename: uint32(1 + f%2), StartLine: int64(f)})
		start := uint32(len(p.Lines))
		p.Lines = append(p.Lines, profile.Line{Function: uint32(len(p.Functions) - 1), Line: int64(10*f + g.Rng.IntN(2))})
		if n := len(p.Functions); n > 1 && g.Rng.IntN(3) == 0 {
			p.Lines = append(p.Lines, profile.Line{Function: uint32(n - 2), Line: 7})
		}
		p.Locations = append(p.Locations, profile.Location{Mapping: uint32(g.Rng.IntN(2)), LineStart: start, LineEnd: uint32(len(p.Lines))})
	}
	for range 1 + g.Rng.IntN(8) {
		g.sample(p)
	}
	return p
}

func (g *Generator) sample(p *profile.Profile) {
	start := uint32(len(p.Frames))
	for range g.Rng.IntN(6) { // none at all now and then
		p.Frames = append(p.Frames, uint32(g.Rng.IntN(len(p.Locations))))
	}
	s := profile.Sample{FrameStart: start, FrameEnd: uint32(len(p.Frames))}
	if g.Rng.IntN(4) == 0 {
		s.SpanID = Spans[g.Rng.IntN(len(Spans))]
		s.TraceID[3] = byte(g.Rng.IntN(2))
	}
	p.Samples = append(p.Samples, s)
	n := 1 + g.Rng.Int64N(5)
	if p.Types[0].Type == "samples" {
		p.Values = append(p.Values, n, n*10_000_000)
		return
	}
	p.Values = append(p.Values, n%4, g.Rng.Int64N(1<<20)+1)
}
