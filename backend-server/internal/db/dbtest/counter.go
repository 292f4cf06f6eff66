package dbtest

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// counter is a process that sends what it has allocated since it began.
type counter struct {
	labels labels.Labels
	time   profile.UnixMilli // of the last profile
	last   *profile.Profile
}

// counterColumns are the sample types of a counter: running totals, and one
// that is none, as in Go's heap profiles.
const counterColumns = 3

// Counter returns the next profile of a random series of running totals. Now
// and then it is older than the one before, or the process has begun anew.
func (g *Generator) Counter() profile.Record {
	const most = 3
	if len(g.counters) < most {
		g.counters = append(g.counters, g.newCounter())
	}
	i := g.Rng.IntN(len(g.counters))
	c := g.counters[i]
	if c.time >= g.Start+profile.UnixMilli(g.Length)-counterGap {
		c = g.newCounter()
		g.counters[i] = c
	}
	g.nextID++
	at := c.time - profile.UnixMilli(g.Rng.IntN(1000)) // late, or of the same time
	if g.Rng.IntN(8) > 0 {
		at = c.time + 1 + profile.UnixMilli(g.Rng.Int64N(counterGap))
		c.time = at
	}
	c.last = g.grow(c.last)
	return profile.Record{ID: g.nextID, Labels: c.labels, Time: max(at, g.Start), Profile: c.last, SampleEnd: len(c.last.Samples)}
}

// counterGap is the longest time between two profiles of a counter, in
// milliseconds.
const counterGap = 600_000

func (g *Generator) newCounter() *counter {
	p := g.profile(Types[4:6])
	p.Types = append(p.Types, profile.ValueType{Type: "inuse_space", Unit: "bytes"})
	p.Values = nil
	for range p.Samples {
		p.Values = append(p.Values, 1+g.Rng.Int64N(10), g.Rng.Int64N(1000), g.Rng.Int64N(1000))
	}
	b := labels.NewBuilder(labels.FromStrings(
		profile.LabelName, Types[4].Name,
		profile.LabelServiceName, Services[g.Rng.IntN(len(Services))],
		"pod", fmt.Sprintf("pod-c%d", g.nextID),
	))
	if g.Rng.IntN(4) == 0 {
		b.Set(profile.LabelDelta, "false")
	}
	return &counter{b.Labels(), g.Start + profile.UnixMilli(g.Rng.Int64N(g.Length/2)), p}
}

// grow returns the profile that follows p: totals that have grown, or not; new
// stacks; or those of a process that has just begun.
func (g *Generator) grow(p *profile.Profile) *profile.Profile {
	c := *p
	c.Values, c.Samples, c.Frames = slices.Clone(p.Values), slices.Clone(p.Samples), slices.Clone(p.Frames)
	fresh := g.Rng.IntN(10) == 0
	for i := 0; i < len(c.Values); i += counterColumns {
		for j := range 2 {
			c.Values[i+j] += g.Rng.Int64N(3) * g.Rng.Int64N(100)
			if fresh {
				c.Values[i+j] = g.Rng.Int64N(3)
			}
		}
		c.Values[i+2] = g.Rng.Int64N(1000)
	}
	if g.Rng.IntN(3) == 0 {
		n := len(c.Values)
		g.sample(&c, 0)
		c.Values = append(c.Values[:n], 1+g.Rng.Int64N(10), g.Rng.Int64N(1000), g.Rng.Int64N(1000))
	}
	return &c
}
