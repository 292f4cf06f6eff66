package block

import (
	"cmp"
	"context"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// scratch is memory reused from series to series.
type scratch struct {
	rows    []rowRecord
	spans   [][]query.SpanSample
	order   []int
	samples []sampleRecord
	batch   []rowRecord
}

// rowSeries writes the rows of one row series in order of time and ID.
func (w *writer) rowSeries(ctx context.Context, s *source, rows sourceSeries, ranks []uint32) (bool, error) {
	req := query.ScanRequest{Partition: s.index, Rows: []uint32{rows.rows}, Range: w.r}
	portions, err := w.portions(ctx, req)
	if err != nil || len(portions) == 0 {
		return false, err
	}
	number := uint32(len(w.series))
	if len(w.series) > 0 {
		number = w.series[len(w.series)-1].ref.series + 1
	}
	for _, req.Range = range portions {
		if err := w.portion(ctx, req, number, ranks); err != nil {
			return false, err
		}
	}
	for _, one := range rows.series {
		ref := rowRef{partition: uint32(len(w.partitions)), series: number, scaled: one.Scaled}
		w.series = append(w.series, indexedSeries{one.Labels, ref})
	}
	return true, nil
}

// portions cuts the range of req so that each part, but for profiles of the
// same time, has no more samples than are worth holding in memory.
func (w *writer) portions(ctx context.Context, req query.ScanRequest) ([]profile.TimeRange, error) {
	type row struct {
		time profile.UnixMilli
		n    int
	}
	var rows []row
	req.TotalsOnly = true
	err := w.in.Scan(ctx, req, func(r *query.Row) error {
		rows = append(rows, row{r.Time, r.N})
		return nil
	})
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.time, b.time) })
	var out []profile.TimeRange
	samples := 0
	for _, r := range rows {
		samples += r.n
		if last := len(out) - 1; last < 0 || samples > samplesPerRowGroup && r.time != out[last].End {
			out = append(out, profile.TimeRange{Start: r.time, End: r.time})
			samples = r.n
		} else {
			out[last].End = r.time
		}
	}
	return out, err
}

// portion writes the rows of row series number that req asks for.
func (w *writer) portion(ctx context.Context, req query.ScanRequest, number uint32, ranks []uint32) error {
	sc := &w.scratch
	sc.rows, sc.spans, sc.samples, sc.order = sc.rows[:0], sc.spans[:0], sc.samples[:0], sc.order[:0]
	req.Spans = true
	err := w.in.Scan(ctx, req, func(row *query.Row) error {
		sc.add(row, ranks)
		return nil
	})
	if err != nil {
		return err
	}
	sc.attach()
	for _, i := range sc.order {
		row := &sc.rows[i]
		row.Series = number
		w.meta.MinTime, w.meta.MaxTime = min(w.meta.MinTime, profile.UnixMilli(row.Time)), max(w.meta.MaxTime, profile.UnixMilli(row.Time))
		w.addSpans(sc.spans[i], ranks)
		if err := w.writeRow(row); err != nil {
			return err
		}
	}
	return nil
}

// add copies one row. Its samples stay in sc.samples until attach.
func (sc *scratch) add(row *query.Row, ranks []uint32) {
	start := len(sc.samples)
	for i, stack := range row.Stacks {
		sc.samples = append(sc.samples, sampleRecord{Stack: ranks[stack], Value: row.Values[i]})
	}
	slices.SortFunc(sc.samples[start:], func(a, b sampleRecord) int { return cmp.Compare(a.Stack, b.Stack) })
	sc.order = append(sc.order, len(sc.rows))
	sc.rows = append(sc.rows, rowRecord{Time: int64(row.Time), ID: row.ID, Total: row.Total, Unit: row.Unit, N: uint32(len(row.Stacks))})
	sc.spans = append(sc.spans, slices.Clone(row.Spans))
}

// attach gives the rows their samples, once sc.samples no longer moves, and
// sorts the rows.
func (sc *scratch) attach() {
	at := uint32(0)
	for i := range sc.rows {
		sc.rows[i].Samples = sc.samples[at : at+sc.rows[i].N]
		at += sc.rows[i].N
	}
	slices.SortFunc(sc.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(sc.rows[a].Time, sc.rows[b].Time), cmp.Compare(sc.rows[a].ID, sc.rows[b].ID))
	})
}

func (w *writer) addSpans(spans []query.SpanSample, ranks []uint32) {
	for _, s := range spans {
		w.spans = append(w.spans, spanRecord{
			Row: uint64(w.meta.Stats.Rows), Stack: ranks[s.Stack], SpanID: s.SpanID,
			TraceHigh: be64(s.TraceID[:8]), TraceLow: be64(s.TraceID[8:]), Value: s.Value,
		})
	}
}

func (w *writer) writeRow(row *rowRecord) error {
	w.scratch.batch = append(w.scratch.batch[:0], *row)
	if _, err := w.rows.Write(w.scratch.batch); err != nil {
		return err
	}
	w.meta.Stats.Rows++
	w.meta.Stats.Samples += int64(row.N)
	if w.inGroup += int(row.N); w.inGroup >= samplesPerRowGroup {
		w.inGroup = 0
		return w.rows.Flush()
	}
	return nil
}
