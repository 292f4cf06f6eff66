package blocktool

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const hour profile.UnixMilli = 60 * 60 * 1000

// content decodes everything and compares the parts with each other.
func (v *Verdict) content(ctx context.Context, b *block.Block) error {
	series, err := b.Select(ctx)
	if err != nil {
		return err
	}
	services, err := b.Partitions(ctx)
	if err != nil {
		return err
	}
	meta := b.Meta()
	if n := int64(len(series)); n != meta.Stats.Series {
		v.wrong("the index has %d series; meta.json states %d", n, meta.Stats.Series)
	}
	if n := int64(len(services)); n != meta.Stats.Partitions {
		v.wrong("there are %d partitions; meta.json states %d", n, meta.Stats.Partitions)
	}
	byPartition := map[uint32][]query.Series{}
	for _, s := range series {
		byPartition[s.Partition] = append(byPartition[s.Partition], s)
	}
	for i, service := range services {
		c := &partitionCheck{Verdict: v, b: b, index: uint32(i), service: service, last: map[uint32]rowPlace{}}
		if err := c.run(ctx, byPartition[uint32(i)]); err != nil {
			return err
		}
	}
	if v.Rows != meta.Stats.Rows || v.Samples != meta.Stats.Samples {
		v.wrong("%d rows with %d samples were found; meta.json states %d with %d", v.Rows, v.Samples, meta.Stats.Rows, meta.Stats.Samples)
	}
	return nil
}

// partitionCheck checks one partition.
type partitionCheck struct {
	*Verdict
	b       *block.Block
	index   uint32
	service string
	stacks  int
	last    map[uint32]rowPlace // of each row series, its last row so far
}

type rowPlace struct {
	time profile.UnixMilli
	id   uint64
}

func (c *partitionCheck) run(ctx context.Context, series []query.Series) error {
	table, err := c.b.Symbols(ctx, c.index)
	if err != nil {
		return err
	}
	c.stacks = len(table.Stacks)
	groups, err := c.b.Groups(ctx, c.index)
	if err != nil {
		return err
	}
	c.seriesAndRows(series, groups)
	for _, g := range groups {
		if err := c.group(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// seriesAndRows compares the series of the index with the row series that there
// are.
func (c *partitionCheck) seriesAndRows(series []query.Series, groups []query.Group) {
	named := map[uint32]int{}
	for _, s := range series {
		if got := s.Labels.Get(profile.LabelServiceName); got != c.service {
			c.wrong("the series %s is in the partition of the service %q", s.Labels, c.service)
		}
		if !s.Scaled {
			named[s.Rows]++
		}
	}
	for _, g := range groups {
		for _, rows := range g.Rows {
			if named[rows] != 1 {
				c.wrong("%d series of the index name row series %d of the service %q; it must be one", named[rows], rows, c.service)
			}
			delete(named, rows)
		}
	}
	for rows := range named {
		c.wrong("the index names row series %d of the service %q, which there is not", rows, c.service)
	}
}

// group reads the rows of a group, by the hour, and the sums.
func (c *partitionCheck) group(ctx context.Context, g query.Group) error {
	hours := map[profile.UnixMilli]bool{}
	all := query.ScanRequest{Partition: c.index, Rows: g.Rows, TotalsOnly: true, Range: profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}}
	err := c.b.Scan(ctx, all, func(r *query.Row) error {
		c.Rows++
		hours[r.Time-mod(r.Time, hour)] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, start := range sortedKeys(hours) {
		if err := c.hour(ctx, g, profile.TimeRange{Start: start, End: start + hour - 1}); err != nil {
			return err
		}
	}
	return nil
}

func mod(t, n profile.UnixMilli) profile.UnixMilli { return ((t % n) + n) % n }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// hour checks the rows of an hour, and that sums are exactly those of the rows
// (B5 of package block).
func (c *partitionCheck) hour(ctx context.Context, g query.Group, r profile.TimeRange) error {
	sums := sumsOf{}
	req := query.ScanRequest{Partition: c.index, Rows: g.Rows, Range: r, Spans: true, Since: true}
	err := c.b.Scan(ctx, req, func(row *query.Row) error {
		c.row(row)
		if g.Step > 0 {
			sums.add(row.Time-mod(row.Time, query.SumWindow), row, c.stacks)
		}
		return nil
	})
	if err != nil || g.Step == 0 {
		return err
	}
	if g.Step < hour {
		for start := r.Start; start < r.End; start += query.SumWindow {
			window := profile.TimeRange{Start: start, End: start + query.SumWindow - 1}
			if err := c.compare(ctx, g, window, sums); err != nil {
				return err
			}
		}
	}
	return c.compare(ctx, g, r, sums)
}

// row checks one row by itself and against the one before.
func (c *partitionCheck) row(r *query.Row) {
	c.Samples += int64(len(r.Stacks))
	where := rowPlace{r.Time, r.ID}
	if last, ok := c.last[r.Rows]; ok && cmp.Or(cmp.Compare(last.time, where.time), cmp.Compare(last.id, where.id)) >= 0 {
		c.wrong("row series %d: the row at %d with ID %016x follows that at %d with ID %016x", r.Rows, r.Time, r.ID, last.time, last.id)
	}
	c.last[r.Rows] = where
	if !c.b.TimeRange().Contains(r.Time) {
		c.wrong("row series %d: a row is of the time %d; meta.json states %d to %d", r.Rows, r.Time, c.b.Meta().MinTime, c.b.Meta().MaxTime)
	}
	total := int64(0)
	for i, s := range r.Stacks {
		if int(s) >= c.stacks || i > 0 && r.Stacks[i-1] >= s || r.Values[i] <= 0 {
			c.wrong("row series %d: the row at %d has stack %d of %d with the value %d as sample %d", r.Rows, r.Time, s, c.stacks, r.Values[i], i)
			return
		}
		total, _ = profile.AddSaturating(total, r.Values[i])
	}
	if total != r.Total || len(r.Stacks) != r.N {
		c.wrong("row series %d: the row at %d has %d samples that come to %d; stated are %d that come to %d", r.Rows, r.Time, len(r.Stacks), total, r.N, r.Total)
	}
	for _, s := range r.Spans {
		if _, ok := slices.BinarySearch(r.Stacks, s.Stack); !ok || s.Value <= 0 {
			c.wrong("row series %d: the row at %d has a span with stack %d, value %d", r.Rows, r.Time, s.Stack, s.Value)
		}
	}
}

// compare compares the sums that make up a range with those of the rows.
func (c *partitionCheck) compare(ctx context.Context, g query.Group, r profile.TimeRange, rows sumsOf) error {
	found := sumsOf{}
	_, err := c.b.ScanSums(ctx, c.index, g, r, func(row *query.Row) error {
		found.add(r.Start, row, c.stacks)
		return nil
	})
	if err != nil {
		return err
	}
	wanted := sumsOf{}
	for key, sum := range rows {
		if r.Contains(key.start) {
			wanted.merge(sumKey{r.Start, key.unit}, sum)
		}
	}
	for key, sum := range wanted {
		if !slices.Equal(sum, found[key]) {
			c.wrong("service %q, group %d: the sums from %d to %d are not those of the rows (unit %d)", c.service, g.Index, r.Start, r.End, key.unit)
		}
		delete(found, key)
	}
	for key := range found {
		c.wrong("service %q, group %d: there are sums from %d to %d and no rows (unit %d)", c.service, g.Index, r.Start, r.End, key.unit)
	}
	return nil
}

// sumsOf are values by stack, by window and unit.
type sumsOf map[sumKey][]int64

type sumKey struct {
	start profile.UnixMilli
	unit  int64
}

func (s sumsOf) add(start profile.UnixMilli, r *query.Row, stacks int) {
	key := sumKey{start, r.Unit}
	if s[key] == nil {
		s[key] = make([]int64, stacks)
	}
	for i, stack := range r.Stacks {
		if int(stack) < stacks {
			s[key][stack] += r.Values[i]
		}
	}
}

func (s sumsOf) merge(key sumKey, values []int64) {
	if s[key] == nil {
		s[key] = slices.Clone(values)
		return
	}
	for i, v := range values {
		s[key][i] += v
	}
}
