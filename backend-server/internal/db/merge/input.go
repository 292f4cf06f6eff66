package merge

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Input is units as one block.Input. Unlike other Queryables, it is for one
// goroutine at a time, and Scan must be told of a partition after Symbols was.
type Input struct {
	origin     query.Origin
	units      []query.Queryable
	partitions []*partition // by service

	held *common // of the partition that was asked for last

	forget func()
	loaded int64 // bytes that the units may hold decoded, about, since forget
}

// Forget has fn called, between partitions, when the units may have decoded and
// kept more than a little (see block.Block.Forget).
func (in *Input) Forget(fn func()) { in.forget = fn }

const (
	// keep is how much the units may keep between calls of Forget's function.
	keep = 64 << 20
	// perRow is what a unit keeps of a row.
	perRow = 40
)

// partition is all that units have of a service.
type partition struct {
	service string
	series  []query.Series // numbered by row series of this partition
	rows    map[string]uint32
	parts   []part
}

// part is a partition of a unit. rows gives its row series by those of the
// partition that it is a part of.
type part struct {
	unit      int
	partition uint32
	rows      map[uint32]uint32
}

// New returns the units as one, which will be known by origin. They must stay
// open, and show the same, while it is used.
func New(ctx context.Context, origin query.Origin, units []query.Queryable) (*Input, error) {
	in := &Input{origin: origin, units: units}
	byService := map[string]*partition{}
	for i, u := range units {
		all, err := u.Select(ctx)
		if err != nil {
			return nil, fmt.Errorf("series of %s: %w", u.Origin().ID, err)
		}
		slices.SortFunc(all, func(a, b query.Series) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Rows, b.Rows), compareScaled(a, b), labels.Compare(a.Labels, b.Labels))
		})
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].Partition == all[0].Partition && all[n].Rows == all[0].Rows {
				n++
			}
			service := all[0].Labels.Get(profile.LabelServiceName)
			p := byService[service]
			if p == nil {
				p = &partition{service: service, rows: map[string]uint32{}}
				byService[service] = p
				in.partitions = append(in.partitions, p)
			}
			p.add(i, all[:n])
			all = all[n:]
		}
	}
	slices.SortFunc(in.partitions, func(a, b *partition) int { return cmp.Compare(a.service, b.service) })
	in.number()
	return in, nil
}

func compareScaled(a, b query.Series) int {
	switch {
	case a.Scaled == b.Scaled:
		return 0
	case b.Scaled:
		return -1
	}
	return 1
}

// add adds the series of one row series of a unit.
func (p *partition) add(unit int, series []query.Series) {
	key := rowsKey(series)
	rows, ok := p.rows[key]
	if !ok {
		rows = uint32(len(p.rows))
		p.rows[key] = rows
		for _, s := range series {
			s.Rows = rows
			p.series = append(p.series, s)
		}
	}
	last := len(p.parts) - 1
	if last < 0 || p.parts[last].unit != unit || p.parts[last].partition != series[0].Partition {
		p.parts = append(p.parts, part{unit: unit, partition: series[0].Partition, rows: map[uint32]uint32{}})
		last++
	}
	// A unit may have several row series of the same labels, of which the
	// second becomes one of its own.
	if _, twice := p.parts[last].rows[rows]; twice {
		p.parts = append(p.parts, part{unit: unit, partition: series[0].Partition, rows: map[uint32]uint32{}})
		last++
	}
	p.parts[last].rows[rows] = series[0].Rows
}

// rowsKey stands for the series that share a row series.
func rowsKey(series []query.Series) string {
	var key, one []byte
	for _, s := range series {
		one = s.Labels.Bytes(one)
		key = append(key, one...)
		if s.Scaled {
			key = append(key, 1)
		}
		key = append(key, 0)
	}
	return string(key)
}

// number tells the series which partition they are in.
func (in *Input) number() {
	for i, p := range in.partitions {
		for j := range p.series {
			p.series[j].Partition = uint32(i)
		}
	}
}

// Shard returns the part of the input that shard i of n has: some services,
// whole. It takes the place of in.
func (in *Input) Shard(i, n int) *Input {
	out := &Input{origin: in.origin, units: in.units, forget: in.forget}
	for _, p := range in.partitions {
		if ShardOf(p.service, n) == i {
			one := *p
			one.series = slices.Clone(p.series)
			out.partitions = append(out.partitions, &one)
		}
	}
	out.number()
	return out
}

// ShardOf returns the shard among n that a service is in.
func ShardOf(service string, n int) int { return int(xxhash.Sum64String(service) % uint64(n)) }

// Origin implements query.Queryable.
func (in *Input) Origin() query.Origin { return in.origin }

// TimeRange implements query.Queryable.
func (in *Input) TimeRange() profile.TimeRange {
	var out profile.TimeRange
	for i, u := range in.units {
		r := u.TimeRange()
		if i == 0 {
			out = r
		}
		out.Start, out.End = min(out.Start, r.Start), max(out.End, r.End)
	}
	return out
}

// Partitions implements block.Input.
func (in *Input) Partitions() []string {
	out := make([]string, len(in.partitions))
	for i, p := range in.partitions {
		out[i] = p.service
	}
	return out
}

// Select implements query.Queryable.
func (in *Input) Select(_ context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	var out []query.Series
	for _, p := range in.partitions {
		for _, s := range p.series {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Labels.Get(m.Name)) }) {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// Symbols implements query.Queryable.
func (in *Input) Symbols(ctx context.Context, i uint32) (*symbols.Table, error) {
	c, err := in.common(ctx, i)
	if err != nil {
		return nil, err
	}
	return &c.table, nil
}

// Scan implements query.Queryable. The stacks of a row are distinct, and in no
// certain order.
func (in *Input) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	if int(req.Partition) >= len(in.partitions) {
		return fault.New(fault.Invalid, "partition %d of %d", req.Partition, len(in.partitions))
	}
	var c *common
	if !req.TotalsOnly {
		var err error
		if c, err = in.common(ctx, req.Partition); err != nil {
			return err
		}
	}
	for i, p := range in.partitions[req.Partition].parts {
		if !in.units[p.unit].TimeRange().Overlaps(req.Range) {
			continue
		}
		if err := in.scanPart(ctx, req, &p, c.numbers(i), fn); err != nil {
			return fmt.Errorf("rows of %s: %w", in.units[p.unit].Origin().ID, err)
		}
	}
	return nil
}

func (in *Input) scanPart(ctx context.Context, req query.ScanRequest, p *part, n *numbers, fn func(*query.Row) error) error {
	from := make(map[uint32]uint32, len(req.Rows))
	its := query.ScanRequest{Partition: p.partition, Range: req.Range, TotalsOnly: req.TotalsOnly, Spans: req.Spans, Since: req.Since}
	for _, rows := range req.Rows {
		if theirs, ok := p.rows[rows]; ok {
			its.Rows = append(its.Rows, theirs)
			from[theirs] = rows
		}
	}
	if len(its.Rows) == 0 {
		return nil
	}
	slices.Sort(its.Rows)
	var out query.Row
	return in.units[p.unit].Scan(ctx, its, func(r *query.Row) error {
		stacks, values, spans := out.Stacks, out.Values, out.Spans
		out = *r
		in.loaded += perRow
		out.Rows, out.Stacks, out.Values, out.Spans = from[r.Rows], stacks, values, spans
		if n != nil {
			if err := n.translate(r, &out); err != nil {
				return err
			}
		}
		return fn(&out)
	})
}
