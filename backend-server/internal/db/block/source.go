package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// source is a partition of the input.
type source struct {
	index   uint32
	service string
	rows    []sourceSeries
	groups  []*sourceGroup
}

// sourceSeries is a row series of the input with the series that refer to it.
type sourceSeries struct {
	rows   uint32
	group  int
	series []query.Series
}

// sourceGroup is all row series of a partition with the same sample types.
type sourceGroup struct {
	rows []uint32
	sums groupSums
}

// sources lists the partitions by service, each with its row series in the
// order of their labels.
func (w *writer) sources(ctx context.Context) ([]*source, error) {
	all, err := w.in.Select(ctx)
	if err != nil {
		return nil, fmt.Errorf("series: %w", err)
	}
	services := w.in.Partitions()
	parts := make([]*source, len(services))
	for i, service := range services {
		parts[i] = &source{index: uint32(i), service: service}
	}
	byRows := map[[2]uint32]int{}
	for _, s := range all {
		part := parts[s.Partition]
		key := [2]uint32{s.Partition, s.Rows}
		at, known := byRows[key]
		if !known {
			at = len(part.rows)
			byRows[key] = at
			part.rows = append(part.rows, sourceSeries{rows: s.Rows})
		}
		part.rows[at].series = append(part.rows[at].series, s)
	}
	for _, part := range parts {
		for _, rows := range part.rows {
			slices.SortFunc(rows.series, func(a, b query.Series) int { return cmp.Compare(boolInt(a.Scaled), boolInt(b.Scaled)) })
		}
		slices.SortFunc(part.rows, func(a, b sourceSeries) int {
			return cmp.Or(labels.Compare(a.series[0].Labels, b.series[0].Labels), cmp.Compare(a.rows, b.rows))
		})
		part.group()
	}
	slices.SortFunc(parts, func(a, b *source) int { return cmp.Compare(a.service, b.service) })
	return parts, nil
}

// group finds the groups of the partition's row series.
func (s *source) group() {
	type key struct{ base, scaled string }
	known := map[key]int{}
	for i := range s.rows {
		var k key
		for _, one := range s.rows[i].series {
			if t := one.Labels.Get(profile.LabelProfileType); one.Scaled {
				k.scaled = t
			} else {
				k.base = t
			}
		}
		g, ok := known[k]
		if !ok {
			g = len(s.groups)
			known[k] = g
			s.groups = append(s.groups, new(sourceGroup))
		}
		s.rows[i].group = g
		s.groups[g].rows = append(s.groups[g].rows, s.rows[i].rows)
	}
	for _, g := range s.groups {
		slices.Sort(g.rows)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
