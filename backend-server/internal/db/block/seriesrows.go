package block

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// portionSamples bounds the samples that are held in memory to be sorted.
const portionSamples = samplesPerRowGroup

// portion is rows of a row series in memory, as they came and in order.
type portion struct {
	rows   []row
	from   []int // of each row, its first sample in stacks and values
	stacks []uint32
	values []int64
	spans  [][]query.SpanSample
	order  []int
	sorted []row
}

// writeSeries writes the rows of one row series in order of time and ID. It
// reports whether there are any.
func (w *writer) writeSeries(ctx context.Context, s *source, rows sourceSeries, ranks []uint32, group uint32, p *partitionCounts) (bool, error) {
	req := query.ScanRequest{Partition: s.index, Rows: []uint32{rows.rows}, Range: w.r}
	portions, err := w.portions(ctx, req)
	if err != nil || len(portions) == 0 {
		return false, err
	}
	number := uint32(len(w.rowSeries))
	w.rowSeries = append(w.rowSeries, rowSeriesCounts{group: group, counter: slices.ContainsFunc(rows.series, query.Series.IsCounter)})
	for _, req.Range = range portions {
		if err := w.portion(ctx, req, number, ranks, p); err != nil {
			return false, err
		}
	}
	for _, one := range rows.series {
		w.series = append(w.series, indexedSeries{one.Labels, number, one.Scaled})
	}
	return true, nil
}

// portions cuts the range of req so that each part, but for profiles of the
// same time, has no more samples than are worth holding in memory.
func (w *writer) portions(ctx context.Context, req query.ScanRequest) ([]profile.TimeRange, error) {
	type header struct {
		time profile.UnixMilli
		n    int
	}
	var rows []header
	total := 0
	req.TotalsOnly = true
	err := w.in.Scan(ctx, req, func(r *query.Row) error {
		rows = append(rows, header{r.Time, r.N})
		total += r.N
		return nil
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if total <= portionSamples {
		return []profile.TimeRange{req.Range}, nil
	}
	slices.SortFunc(rows, func(a, b header) int { return cmp.Compare(a.time, b.time) })
	var out []profile.TimeRange
	samples := 0
	for _, r := range rows {
		samples += r.n
		if last := len(out) - 1; last < 0 || samples > portionSamples && r.time != out[last].End {
			out = append(out, profile.TimeRange{Start: r.time, End: r.time})
			samples = r.n
		} else {
			out[last].End = r.time
		}
	}
	return out, nil
}

// portion writes the rows of row series number that req asks for.
func (w *writer) portion(ctx context.Context, req query.ScanRequest, number uint32, ranks []uint32, counts *partitionCounts) error {
	p := &w.held
	p.reset()
	w.sorter.begin(len(ranks))
	req.Spans, req.Since = true, true
	err := w.in.Scan(ctx, req, func(r *query.Row) error {
		p.from = append(p.from, len(p.stacks))
		p.stacks, p.values = w.sorter.sort(r.Stacks, r.Values, ranks, p.stacks, p.values)
		p.order = append(p.order, len(p.rows))
		p.rows = append(p.rows, row{time: int64(r.Time), id: r.ID, total: r.Total, unit: r.Unit, since: r.Since})
		p.spans = append(p.spans, slices.Clone(r.Spans))
		return nil
	})
	if err != nil {
		return err
	}
	p.sort()
	relative := w.rows.changesPay(p.sorted)
	for i := range p.sorted {
		r := &p.sorted[i]
		w.meta.MinTime, w.meta.MaxTime = min(w.meta.MinTime, profile.UnixMilli(r.time)), max(w.meta.MaxTime, profile.UnixMilli(r.time))
		for _, s := range p.spans[p.order[i]] {
			w.bundle.addSpan(w.meta.Stats.Rows, ranks[s.Stack], &s)
			counts.spans++
		}
		if err := w.rows.add(number, r, relative); err != nil {
			return err
		}
		w.digest(number, r)
		w.rowSeries[number].rows++
		w.meta.Stats.Rows++
		w.meta.Stats.Samples += int64(len(r.stacks))
	}
	return ctx.Err()
}

func (p *portion) reset() {
	clear(p.spans)
	p.rows, p.from, p.stacks, p.values = p.rows[:0], p.from[:0], p.stacks[:0], p.values[:0]
	p.spans, p.order, p.sorted = p.spans[:0], p.order[:0], p.sorted[:0]
}

// sort gives the rows their samples, once these no longer move, and makes
// sorted of them.
func (p *portion) sort() {
	p.from = append(p.from, len(p.stacks))
	for i := range p.rows {
		p.rows[i].stacks, p.rows[i].values = p.stacks[p.from[i]:p.from[i+1]], p.values[p.from[i]:p.from[i+1]]
	}
	slices.SortFunc(p.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(p.rows[a].time, p.rows[b].time), cmp.Compare(p.rows[a].id, p.rows[b].id))
	})
	for _, i := range p.order {
		p.sorted = append(p.sorted, p.rows[i])
	}
}

// size is the memory that the portion takes.
func (p *portion) size() int {
	const perRow = 2*80 + 8 + 24 + 8 // rows and sorted, from, spans, order
	return perRow*cap(p.rows) + 4*cap(p.stacks) + 8*cap(p.values)
}

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }
