package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// extent is a part of the data file.
type extent struct{ offset, size int64 }

func (e extent) end() int64 { return e.offset + e.size }

func chunkExtent(c *table.Chunk) extent { return extent{c.Offset, c.Size} }

// piece is a part of the data file in memory.
type piece struct {
	offset int64
	data   []byte
}

// pieces are parts of the data file in memory.
type pieces []piece

// at returns one extent, which lies within one piece.
func (p pieces) at(e extent) ([]byte, error) {
	for i := range p {
		from := e.offset - p[i].offset
		if from >= 0 && e.size >= 0 && from <= int64(len(p[i].data))-e.size {
			return p[i].data[from : from+e.size : from+e.size], nil
		}
	}
	return nil, fault.New(fault.Corrupt, "%d bytes at %d are not where they should be", e.size, e.offset)
}

const (
	// mergeGap is how many bytes are read for nothing rather than with a read
	// of their own.
	mergeGap = 64 << 10
	// maxFetch bounds what is read for one row group or bundle, so that a
	// damaged block cannot ask for all memory.
	maxFetch = 1 << 30
)

// fetch reads parts of the data file, those near each other at once.
func (b *Block) fetch(ctx context.Context, extents []extent) (pieces, error) {
	extents = slices.Clone(extents)
	slices.SortFunc(extents, func(a, b extent) int { return cmp.Compare(a.offset, b.offset) })
	var merged []extent
	total := int64(0)
	for _, e := range extents {
		if n := len(merged); n > 0 && e.offset <= merged[n-1].end()+mergeGap {
			merged[n-1].size = max(merged[n-1].end(), e.end()) - merged[n-1].offset
		} else {
			merged = append(merged, e)
		}
	}
	for _, e := range merged {
		total += e.size
	}
	if total > maxFetch {
		return nil, fault.New(fault.Corrupt, "%d bytes to be read at once; the limit is %d", total, maxFetch)
	}
	out := make(pieces, len(merged))
	for i, e := range merged {
		out[i] = piece{e.offset, make([]byte, e.size)}
		if err := b.src.ReadAt(ctx, DataFile, out[i].data, e.offset); err != nil {
			return nil, fmt.Errorf("block %s: %w", b.meta.ID, err)
		}
	}
	return out, nil
}
