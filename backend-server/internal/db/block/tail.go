package block

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/index"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
)

// tail writes what a reader gets with one read: the small tables, the index and
// the footers of all tables. The rows' footer comes last, so that the file as a
// whole can be opened as the Parquet table of the rows.
func (w *writer) tail() error {
	w.data.begin(sectionTables)
	slices.SortFunc(w.series, func(a, b indexedSeries) int {
		return cmp.Or(labels.Compare(a.labels, b.labels), cmp.Compare(a.rowSeries, b.rowSeries), cmp.Compare(boolInt(a.scaled), boolInt(b.scaled)))
	})
	for _, step := range []func() error{w.partitionTable, w.groupTables, w.seriesTable, w.digestTable, w.counterTable} {
		if err := step(); err != nil {
			return err
		}
	}
	list := make([]index.Series, len(w.series))
	for i, s := range w.series {
		list[i] = index.Series{Labels: s.labels, Ref: uint64(i)}
	}
	content, err := index.Marshal(list)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	w.data.begin(sectionIndex)
	if _, err := w.data.Write(content); err != nil {
		return err
	}
	w.meta.Stats.Series = int64(len(w.series))
	for i := len(w.order) - 1; i >= 0; i-- { // the rows came first
		t := w.order[i]
		if t.Rows() == 0 {
			continue
		}
		w.data.begin(t.Name())
		if err := t.Footer(); err != nil {
			return fmt.Errorf("%s: %w", t.Name(), err)
		}
	}
	return nil
}

func (w *writer) partitionTable() error {
	services := table.NewPages(w.opts.Compression, &w.scratch)
	var columns [3 + symTables][]uint64
	for _, p := range w.partitions {
		services.Add([]byte(p.service))
		columns[0], columns[1] = append(columns[0], uint64(p.rowSeries)), append(columns[1], uint64(p.groups))
		for i, n := range p.symbols {
			columns[2+i] = append(columns[2+i], uint64(n))
		}
		columns[2+symTables] = append(columns[2+symTables], uint64(p.spans))
	}
	t := w.table(schemaPartitions)
	t.Begin(len(w.partitions))
	if err := t.Pages(services); err != nil {
		return err
	}
	for _, c := range columns {
		if err := t.Uint64s(c); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) groupTables() error {
	var step, sums, group, rows []uint64
	for _, g := range w.groups {
		step, sums = append(step, uint64(g.step)), append(sums, uint64(g.sums))
	}
	for _, s := range w.rowSeries {
		group, rows = append(group, uint64(s.group)), append(rows, uint64(s.rows))
	}
	if err := writeGroup(w.table(schemaGroups), nil, [][]uint64{step, sums}, "ll"); err != nil {
		return err
	}
	return writeGroup(w.table(schemaRowSeries), nil, [][]uint64{group, rows}, "ll")
}

func (w *writer) seriesTable() error {
	var rows, scaled []uint64
	for _, s := range w.series {
		rows, scaled = append(rows, uint64(s.rowSeries)), append(scaled, uint64(boolInt(s.scaled)))
	}
	return writeGroup(w.table(schemaSeries), nil, [][]uint64{rows, scaled}, "ll")
}
