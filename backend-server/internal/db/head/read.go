package head

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/index"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

var _ query.Queryable = (*Head)(nil)

// Select implements query.Queryable.
func (h *Head) Select(ctx context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	postings, err := index.Select(ctx, index.Mem{MemPostings: h.postings}, matchers...)
	if err != nil {
		return nil, err
	}
	h.mu.RLock()
	series := h.mu.series
	h.mu.RUnlock()
	var out []query.Series
	for postings.Next() {
		if ref := int(postings.At()) - 1; ref < len(series) {
			out = append(out, series[ref])
		}
	}
	return out, postings.Err()
}

func (h *Head) partitionAt(i uint32) (*partition, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if int(i) >= len(h.mu.partitions) {
		return nil, fault.New(fault.NotFound, "partition %d of head %s", i, h.id)
	}
	return h.mu.partitions[i], nil
}

// Symbols implements query.Queryable.
func (h *Head) Symbols(_ context.Context, i uint32) (*symbols.Table, error) {
	p, err := h.partitionAt(i)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.in.View()
	return &t, nil
}

// Partitions returns the services of the head's partitions, by partition
// index.
func (h *Head) Partitions() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]string, len(h.mu.partitions))
	for i, p := range h.mu.partitions {
		out[i] = p.name
	}
	return out
}

// rowsPerCheck is how many rows are read between looks at the context.
const rowsPerCheck = 64

// Scan implements query.Queryable.
func (h *Head) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	p, err := h.partitionAt(req.Partition)
	if err != nil {
		return err
	}
	lists := make([]rows, len(req.Rows))
	p.mu.Lock()
	for i, r := range req.Rows {
		if int(r) < len(p.series) {
			lists[i] = p.rows(p.series[r])
		}
	}
	p.mu.Unlock()
	var out query.Row
	for i := range lists {
		out.Rows = req.Rows[i]
		if err := lists[i].scan(ctx, &out, req, fn); err != nil {
			return err
		}
	}
	return nil
}

// scan calls fn with out for each row that req asks for.
func (r *rows) scan(ctx context.Context, out *query.Row, req query.ScanRequest, fn func(*query.Row) error) error {
	for i := range r.list {
		if i%rowsPerCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !req.Range.Contains(r.list[i].time) {
			continue
		}
		var row row
		if req.TotalsOnly {
			row = r.at(i)
		} else {
			row = r.whole(i)
		}
		if err := row.read(out, req); err != nil {
			return err
		}
		if err := fn(out); err != nil {
			return err
		}
	}
	return nil
}

func (r *row) read(out *query.Row, req query.ScanRequest) (err error) {
	out.Time, out.ID, out.Total, out.Unit, out.N, out.Since = r.time, r.id, r.total, r.unit, int(r.n), r.since
	out.Stacks, out.Values, out.Spans = out.Stacks[:0], out.Values[:0], out.Spans[:0]
	if req.TotalsOnly {
		return nil
	}
	if out.Stacks, out.Values, err = decodeSamples(r.data, out.Stacks, out.Values); err != nil {
		return err
	}
	if req.Spans {
		out.Spans, err = decodeSpans(r.spans, out.Spans)
	}
	return err
}
