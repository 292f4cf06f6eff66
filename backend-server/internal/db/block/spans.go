package block

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
)

// spanMap is span samples by row.
type spanMap map[int64][]query.SpanSample

// spans returns the span samples of a partition, or nil if there are none.
func (b *Block) spans(ctx context.Context, l *layout, i uint32) (spanMap, error) {
	p := &l.partitions[i]
	if p.spans.n == 0 {
		return nil, nil
	}
	c := b.cache.Load()
	return entryOf(c, c.spans, i).get(ctx, func() (spanMap, error) {
		out, err := b.readSpans(ctx, l, p)
		if err != nil {
			return nil, fmt.Errorf("block %s: spans: %w", b.meta.ID, err)
		}
		c.bytes.Add(out.bytes())
		return out, nil
	})
}

func (b *Block) readSpans(ctx context.Context, l *layout, p *partition) (spanMap, error) {
	t, err := l.table(sectionSpans)
	if err != nil || t == nil {
		return nil, orElse(err, errNoTable)
	}
	out := spanMap{}
	for at := p.spans.first; at < p.spans.end(); {
		i := t.Find(at)
		if i >= len(t.Groups) {
			return nil, errIndex("span", uint32(at), uint32(t.Rows()))
		}
		g := &t.Groups[i]
		columns, err := b.spanColumns(ctx, g)
		if err != nil {
			return nil, err
		}
		row := int64(0)
		end := min(p.spans.end(), g.First+g.Rows)
		for k := g.First; k < end; k++ {
			j := k - g.First
			row += unzigzag(columns[0][j])
			if k < at {
				continue
			}
			s := query.SpanSample{Stack: uint32(columns[1][j]), SpanID: columns[2][j], Value: int64(columns[5][j])}
			if known := uint64(p.symbols[symStacks].n); columns[1][j] >= known {
				return nil, errIndex("stack", s.Stack, uint32(known))
			}
			binary.BigEndian.PutUint64(s.TraceID[:8], columns[3][j])
			binary.BigEndian.PutUint64(s.TraceID[8:], columns[4][j])
			out[row] = append(out[row], s)
		}
		at = end
	}
	return out, nil
}

func (b *Block) spanColumns(ctx context.Context, g *table.Group) (out [6][]uint64, err error) {
	var extents []extent
	for i := range g.Chunks {
		extents = append(extents, chunkExtent(&g.Chunks[i]))
	}
	got, err := b.fetchAgain(ctx, extents)
	if err != nil {
		return out, err
	}
	var scratch table.ReadScratch
	for i := range out {
		content, err := got.at(extents[i])
		if err != nil {
			return out, err
		}
		if out[i], err = g.Chunks[i].Uint64s(content, &scratch); err != nil {
			return out, err
		}
	}
	return out, nil
}
