// Package series turns values with a time into time series: one point for each
// step of a grid and each group of label values.
//
// A Builder is fed the total of every profile in any order, from any number of
// stores, and sorts things out at the end: the points of a group are kept as
// runs that are compacted when they have doubled. Sums are whole numbers until
// the last moment, so the order of adding never shows; a sum that would leave
// 64 bits stays at the largest value.
package series

import (
	"cmp"
	"iter"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Point is one value of a series.
type Point struct {
	Time  profile.UnixMilli
	Value float64
}

// Series is one time series, its points in order of time.
type Series struct {
	Labels labels.Labels
	Points []Point
}

// Grid is the points in time of a series: Start, Start+StepMillis and so on.
// The point at t stands for the times after the point before it, up to t and
// including it. A grid covers all times up to End; its last point may be later.
type Grid struct {
	Start, End profile.UnixMilli
	StepMillis int64 // at least 1
}

// Range is the range of times that the grid's points stand for.
func (g Grid) Range() profile.TimeRange {
	return profile.TimeRange{Start: g.Start - profile.UnixMilli(g.StepMillis) + 1, End: g.End}
}

// Bucket returns the point that stands for the time t, which must lie in the
// grid's Range.
func (g Grid) Bucket(t profile.UnixMilli) profile.UnixMilli {
	return g.Start + profile.UnixMilli(g.index(t)*g.StepMillis)
}

func (g Grid) index(t profile.UnixMilli) int64 {
	d := int64(t - g.Start)
	i := d / g.StepMillis
	if d%g.StepMillis > 0 {
		i++
	}
	return i
}

// Points returns the number of points of the grid.
func (g Grid) Points() int64 { return g.index(g.End) + 1 }

// Aggregation is how the values of one point become one.
type Aggregation uint8

// The aggregations.
const (
	Sum     Aggregation = iota
	Average             // the mean of the profiles' totals
)

// Builder makes time series. It is not safe for concurrent use.
type Builder struct {
	grid    Grid
	groupBy []string // sorted
	agg     Aggregation

	groups []group
	ids    map[string]GroupID
	key    []byte
	filter labels.Builder
}

// GroupID identifies a group of a Builder.
type GroupID int

type group struct {
	labels labels.Labels
	cells  []Cell
	sorted int // cells[:sorted] are sorted and distinct
}

// Cell is the values of one point so far: the sum and number of the profiles of
// the Index-th point of the grid.
type Cell struct{ Index, Sum, Count int64 }

// NewBuilder returns a Builder of series that are told apart by the given
// labels; without any, all values are one series without labels.
func NewBuilder(grid Grid, groupBy []string, agg Aggregation) *Builder {
	by := slices.Clone(groupBy)
	slices.Sort(by)
	return &Builder{grid: grid, groupBy: slices.Compact(by), agg: agg, ids: map[string]GroupID{}}
}

// Group returns the group that values of a series with labels ls belong to, to
// be used with AddTo.
func (b *Builder) Group(ls labels.Labels) GroupID {
	b.key = ls.BytesWithLabels(b.key, b.groupBy...)
	if id, ok := b.ids[string(b.key)]; ok {
		return id
	}
	b.filter.Reset(ls)
	b.filter.Keep(b.groupBy...)
	id := GroupID(len(b.groups))
	b.groups = append(b.groups, group{labels: b.filter.Labels()})
	b.ids[string(b.key)] = id
	return id
}

// Add adds the value of a profile of a series with labels ls. Times outside
// the grid's Range are left out.
func (b *Builder) Add(ls labels.Labels, t profile.UnixMilli, value int64) {
	if b.grid.Range().Contains(t) {
		b.AddTo(b.Group(ls), t, value)
	}
}

// AddTo is Add for many values of one series.
func (b *Builder) AddTo(id GroupID, t profile.UnixMilli, value int64) {
	if b.grid.Range().Contains(t) {
		b.groups[id].add(Cell{b.grid.index(t), value, 1})
	}
}

// Merge adds all that o holds, which stays as it is. It must have been made with
// the same labels and aggregation, and the same grid or some of its points.
func (b *Builder) Merge(o *Builder) {
	first := b.grid.index(o.grid.Start)
	for i := range o.groups {
		id := b.Group(o.groups[i].labels)
		for _, c := range o.groups[i].cells {
			c.Index += first
			b.groups[id].add(c)
		}
	}
}

// Cells returns what the builder holds, by group: points that are distinct and
// in order of time. They must not be changed, and nothing be added meanwhile.
func (b *Builder) Cells() iter.Seq2[labels.Labels, []Cell] {
	return func(yield func(labels.Labels, []Cell) bool) {
		for i := range b.groups {
			g := &b.groups[i]
			g.compact()
			if len(g.cells) > 0 && !yield(g.labels, g.cells) {
				return
			}
		}
	}
}

// AddCells adds what Cells of a builder with the same grid returned.
func (b *Builder) AddCells(ls labels.Labels, cells []Cell) error {
	points := b.grid.Points()
	for _, c := range cells {
		if c.Index < 0 || c.Index >= points || c.Count < 1 {
			return fault.New(fault.Corrupt, "series: point %d of %d has the sum of %d profiles", c.Index, points, c.Count)
		}
	}
	id := b.Group(ls)
	for _, c := range cells {
		b.groups[id].add(c)
	}
	return nil
}

// Bytes estimates the memory held.
func (b *Builder) Bytes() int64 {
	n := int64(0)
	for i := range b.groups {
		n += groupBytes + int64(cap(b.groups[i].cells))*cellBytes
	}
	return n
}

// Memory of a cell, and of a group besides its cells and with an average set of
// labels.
const (
	cellBytes  = 24
	groupBytes = 512
)

// compactAt is the least number of loose cells worth sorting.
const compactAt = 256

func (g *group) add(c Cell) {
	if n := len(g.cells); n > 0 && g.cells[n-1].Index == c.Index {
		g.cells[n-1].merge(c)
		return
	}
	g.cells = append(g.cells, c)
	if loose := len(g.cells) - g.sorted; loose > max(compactAt, g.sorted) {
		g.compact()
	}
}

func (c *Cell) merge(o Cell) {
	c.Sum, _ = profile.AddSaturating(c.Sum, o.Sum)
	c.Count += o.Count
}

// compact sorts the cells and merges those of the same point.
func (g *group) compact() {
	slices.SortFunc(g.cells, func(a, b Cell) int { return cmp.Compare(a.Index, b.Index) })
	out := g.cells[:0]
	for _, c := range g.cells {
		if n := len(out); n > 0 && out[n-1].Index == c.Index {
			out[n-1].merge(c)
		} else {
			out = append(out, c)
		}
	}
	g.cells, g.sorted = out, len(out)
}

// Build returns the series in the order of their labels. With a limit above 0
// it returns that many at most: those with the largest sum of points, largest
// first, equal ones in the order of their labels. Points to which nothing was
// added are absent, and so are series without points.
func (b *Builder) Build(limit int) []Series {
	ranked := make([]ranking, 0, len(b.groups))
	for i := range b.groups {
		g := &b.groups[i]
		g.compact()
		if len(g.cells) > 0 {
			ranked = append(ranked, b.rank(g))
		}
	}
	byLabels := func(x, y ranking) int { return labels.Compare(x.group.labels, y.group.labels) }
	slices.SortFunc(ranked, byLabels)
	if limit > 0 {
		slices.SortStableFunc(ranked, func(x, y ranking) int {
			return cmp.Or(cmp.Compare(y.sum, x.sum), cmp.Compare(y.mean, x.mean))
		})
		ranked = ranked[:min(limit, len(ranked))]
	}
	out := make([]Series, len(ranked))
	for i, r := range ranked {
		out[i] = Series{Labels: r.group.labels, Points: b.points(r.group.cells)}
	}
	return out
}

// ranking is a group with the sum of its points: whole for sums, so that
// neighbours beyond 2^53 are told apart.
type ranking struct {
	group *group
	sum   int64
	mean  float64
}

func (b *Builder) rank(g *group) ranking {
	r := ranking{group: g}
	for _, c := range g.cells {
		if b.agg == Average {
			r.mean += c.average()
		} else {
			r.sum, _ = profile.AddSaturating(r.sum, c.Sum)
		}
	}
	return r
}

func (c Cell) average() float64 { return float64(c.Sum) / float64(c.Count) }

func (b *Builder) points(cells []Cell) []Point {
	out := make([]Point, len(cells))
	for i, c := range cells {
		out[i] = Point{Time: b.grid.Start + profile.UnixMilli(c.Index*b.grid.StepMillis), Value: float64(c.Sum)}
		if b.agg == Average {
			out[i].Value = c.average()
		}
	}
	return out
}
