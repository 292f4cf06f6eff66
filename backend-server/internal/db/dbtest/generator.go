package dbtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Generator makes random records.
type Generator struct {
	Rng *rand.Rand
	// Start and Length say when the profiles are from, in milliseconds.
	Start  profile.UnixMilli
	Length int64
	// Varied makes more of what is rare: times at the edges of windows, records
	// of a part of a profile, samples that stand for different times. Without
	// it records stay what they were when the golden blocks were made.
	Varied bool

	nextID   uint64
	counters []*counter
}

// Types are the profile types that a Generator makes; the last two are of
// Counter alone.
var Types = []profile.Type{
	{Name: "process_cpu", SampleType: "samples", SampleUnit: "count", PeriodType: "cpu", PeriodUnit: "nanoseconds"},
	{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"},
	{Name: "memory", SampleType: "inuse_objects", SampleUnit: "count", PeriodType: "space", PeriodUnit: "bytes"},
	{Name: "memory", SampleType: "inuse_space", SampleUnit: "bytes", PeriodType: "space", PeriodUnit: "bytes"},
	{Name: "memory", SampleType: "alloc_objects", SampleUnit: "count", PeriodType: "space", PeriodUnit: "bytes"},
	{Name: "memory", SampleType: "alloc_space", SampleUnit: "bytes", PeriodType: "space", PeriodUnit: "bytes"},
}

// Spans are the span IDs that some samples of a Generator carry.
var Spans = []uint64{0x1111, 0x2222}

// units are what a sample of a CPU profile stands for, in nanoseconds; 0 is
// something else for every sample.
var units = []int64{10_000_000, 10_000_000, 4_000_000, 1, 0}

// Services are the services that the records are of.
var Services = []string{"api", "db", "web"}

// Record returns a random record.
func (g *Generator) Record() profile.Record {
	g.nextID++
	which := g.Rng.IntN(2)
	p := g.profile(Types[2*which : 2*which+2])
	rec := profile.Record{
		ID: g.nextID,
		Labels: labels.FromStrings(
			profile.LabelName, Types[2*which].Name,
			profile.LabelServiceName, Services[g.Rng.IntN(len(Services))],
			"pod", fmt.Sprintf("pod-%d", g.Rng.IntN(3)),
		),
		Time:      g.time(),
		Profile:   p,
		SampleEnd: len(p.Samples),
	}
	if g.Varied && g.Rng.IntN(6) == 0 { // the others belong to another series
		rec.SampleStart = g.Rng.IntN(len(p.Samples))
	}
	return rec
}

// time draws a time; many lie where one window of sums ends and the next
// begins.
func (g *Generator) time() profile.UnixMilli {
	at := g.Start + profile.UnixMilli(g.Rng.Int64N(g.Length))
	if !g.Varied || g.Rng.IntN(4) > 0 {
		return at
	}
	edge := at - at%query.SumWindow + profile.UnixMilli(g.Rng.IntN(3)-1)
	return min(max(edge, g.Start), g.Start+profile.UnixMilli(g.Length)-1)
}

// Double returns another record of the series and the time of rec: a second
// profile, which must be kept beside the first.
func (g *Generator) Double(rec profile.Record) profile.Record {
	g.nextID++
	p := *rec.Profile
	p.Values = slices.Clone(p.Values)
	for i := range p.Values {
		p.Values[i] *= 2
	}
	rec.ID, rec.Profile = g.nextID, &p
	return rec
}

// profile makes a profile whose symbols are drawn from a small world, so that
// stacks repeat, each time numbered in another way.
func (g *Generator) profile(types []profile.Type) *profile.Profile {
	unit := units[0]
	if g.Varied {
		unit = units[g.Rng.IntN(len(units))]
	}
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
		g.sample(p, unit)
	}
	return p
}

func (g *Generator) sample(p *profile.Profile, unit int64) {
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
		if unit == 0 {
			unit = 1 + g.Rng.Int64N(1000)
		}
		p.Values = append(p.Values, n, n*unit)
		return
	}
	p.Values = append(p.Values, n%4, g.Rng.Int64N(1<<20)+1)
}
