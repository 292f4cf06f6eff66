package block

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

// rowRef is what the index stores for a series in place of a chunk reference:
// its row series and partition. Bit 0 is scaled, bits 1–32 the row series,
// bits 33–63 the partition.
type rowRef struct {
	partition, series uint32
	scaled            bool
}

func (r rowRef) pack() chunks.ChunkRef {
	return chunks.ChunkRef(uint64(r.partition)<<33 | uint64(r.series)<<1 | uint64(boolInt(r.scaled)))
}

func unpackRef(c chunks.ChunkRef) rowRef {
	return rowRef{partition: uint32(c >> 33), series: uint32(c >> 1), scaled: c&1 == 1}
}

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// index writes the TSDB index as a section. Prometheus' writer wants a file of
// its own, so it gets a temporary one.
func (w *writer) index(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "hearth-index-")
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "index")
	if err := w.writeIndex(ctx, name); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	w.data.begin(sectionIndex)
	_, err = w.data.Write(b)
	return err
}

func (w *writer) writeIndex(ctx context.Context, name string) error {
	out, err := index.NewWriter(ctx, name)
	if err != nil {
		return err
	}
	for _, s := range indexSymbols(w.series) {
		if err := out.AddSymbol(s); err != nil {
			return err
		}
	}
	slices.SortStableFunc(w.series, func(a, b indexedSeries) int {
		return cmp.Or(labels.Compare(a.labels, b.labels), cmp.Compare(a.ref.pack(), b.ref.pack()))
	})
	ref := storage.SeriesRef(0)
	for i := 0; i < len(w.series); {
		metas := []chunks.Meta{}
		j := i
		for ; j < len(w.series) && labels.Equal(w.series[i].labels, w.series[j].labels); j++ {
			s := w.series[j]
			metas = append(metas, chunks.Meta{Ref: s.ref.pack(), MinTime: int64(s.minTime), MaxTime: int64(s.maxTime)})
		}
		if err := out.AddSeries(ref, w.series[i].labels, metas...); err != nil {
			return err
		}
		ref++
		i = j
	}
	return out.Close()
}

func indexSymbols(series []indexedSeries) []string {
	seen := map[string]struct{}{}
	for _, s := range series {
		s.labels.Range(func(l labels.Label) {
			seen[l.Name] = struct{}{}
			seen[l.Value] = struct{}{}
		})
	}
	out := make([]string, 0, len(seen))
	for s := range seen {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
