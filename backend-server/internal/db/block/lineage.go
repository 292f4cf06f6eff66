package block

import (
	"context"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// lineageTable writes the masks of the row series, if the block is made of what
// several databases held.
func (w *writer) lineageTable() error {
	if w.opts.Lineage == nil {
		return nil
	}
	return writeGroup(w.table(schemaLineage), nil, [][]uint64{w.lineage}, "l")
}

// noteLineage notes the mask of a row series: that of all its series.
func (w *writer) noteLineage(series []query.Series) {
	if w.opts.Lineage == nil {
		return
	}
	mask := ^uint64(0)
	for _, s := range series {
		mask &= w.opts.Lineage(s.Labels)
	}
	w.lineage = append(w.lineage, mask)
}

// readLineage reads the masks, where there are any.
func (l *layout) readLineage(tail pieces) error {
	if l.tables[sectionLineage] == nil {
		return nil
	}
	columns, err := l.columns64(tail, sectionLineage, 0)
	if err != nil {
		return err
	}
	if len(columns[0]) != len(l.rowSeries) {
		return fault.New(fault.Corrupt, "lineage: %d masks for %d row series", len(columns[0]), len(l.rowSeries))
	}
	l.lineage = columns[0]
	return nil
}

// Lineage implements query.Descended.
func (b *Block) Lineage(ctx context.Context, partition uint32, rows []uint32) ([]ulid.ULID, []uint64, error) {
	c := b.meta.Compaction
	if c == nil || len(c.Lineage) == 0 {
		return nil, nil, nil
	}
	l, err := b.layout(ctx)
	if err != nil || l.lineage == nil {
		return nil, nil, err
	}
	p, err := b.partition(l, partition)
	if err != nil {
		return nil, nil, err
	}
	masks := make([]uint64, len(rows))
	for i, s := range rows {
		if int64(s) >= p.rowSeries.first && int64(s) < p.rowSeries.end() {
			masks[i] = l.lineage[s]
		}
	}
	return c.Lineage, masks, nil
}

var _ query.Descended = (*Block)(nil)
