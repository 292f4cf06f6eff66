package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

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

// merge joins extents that lie near each other.
func merge(extents []extent, gap int64) []extent {
	extents = slices.Clone(extents)
	slices.SortFunc(extents, func(a, b extent) int { return cmp.Compare(a.offset, b.offset) })
	var merged []extent
	for _, e := range extents {
		if n := len(merged); n > 0 && e.offset <= merged[n-1].end()+gap {
			merged[n-1].size = max(merged[n-1].end(), e.end()) - merged[n-1].offset
		} else {
			merged = append(merged, e)
		}
	}
	return merged
}

// fetch reads parts of the data file, those near each other at once.
func (b *Block) fetch(ctx context.Context, extents []extent) (pieces, error) {
	return b.read(ctx, merge(extents, b.gap()), nil)
}

// fetchAgain is fetch for what is read again whenever it has been forgotten.
func (b *Block) fetchAgain(ctx context.Context, extents []extent) (pieces, error) {
	return b.read(ctx, nil, merge(extents, b.gap()))
}

// read reads parts of the data file as they are, of which some will be read
// again: of a source far away all at the same time.
func (b *Block) read(ctx context.Context, once, again []extent) (pieces, error) {
	extents := slices.Concat(once, again)
	total := int64(0)
	for _, e := range extents {
		total += e.size
	}
	if total > maxFetch {
		return nil, fault.New(fault.Corrupt, "%d bytes to be read at once; the limit is %d", total, maxFetch)
	}
	out := make(pieces, len(extents))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for i, e := range extents {
		one := func() error {
			out[i] = piece{e.offset, make([]byte, e.size)}
			return b.readAt(ctx, out[i].data, e.offset, i >= len(once))
		}
		if b.far == nil {
			if err := one(); err != nil {
				return nil, err
			}
			continue
		}
		g.Go(one)
	}
	return out, g.Wait()
}

func (b *Block) readAt(ctx context.Context, p []byte, off int64, again bool) error {
	read := b.src.ReadAt
	if again && b.far != nil {
		read = b.far.ReadAgain
	}
	if err := read(ctx, DataFile, p, off); err != nil {
		return fmt.Errorf("block %s: %w", b.meta.ID, err)
	}
	return nil
}
