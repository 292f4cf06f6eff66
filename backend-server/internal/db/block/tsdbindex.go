package block

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

// rowRef says where the profiles of a series are: its row series and
// partition. The index stores, in place of a chunk reference, the number of the
// rowRef in the series section, since it wants references that ascend with the
// labels.
type rowRef struct {
	partition, series uint32
	scaled            bool
}

func compareRefs(a, b rowRef) int {
	return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.series, b.series), cmp.Compare(boolInt(a.scaled), boolInt(b.scaled)))
}

// seriesTable sorts the series for the index and writes their rowRefs.
func (w *writer) seriesTable() error {
	slices.SortFunc(w.series, func(a, b indexedSeries) int {
		return cmp.Or(labels.Compare(a.labels, b.labels), compareRefs(a.ref, b.ref))
	})
	records := make([]seriesRecord, len(w.series))
	for i, s := range w.series {
		records[i] = seriesRecord{Partition: s.ref.partition, Rows: s.ref.series, Scaled: uint32(boolInt(s.ref.scaled))}
	}
	return writeTable(w.data, sectionSeries, records)
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
	if err := w.addToIndex(out); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}

func (w *writer) addToIndex(out *index.Writer) error {
	for _, s := range indexSymbols(w.series) {
		if err := out.AddSymbol(s); err != nil {
			return err
		}
	}
	ref := storage.SeriesRef(0)
	for i := 0; i < len(w.series); {
		metas := []chunks.Meta{}
		j := i
		for ; j < len(w.series) && labels.Equal(w.series[i].labels, w.series[j].labels); j++ {
			// The index wants times that ascend; nothing here reads them.
			metas = append(metas, chunks.Meta{Ref: chunks.ChunkRef(j), MinTime: int64(j), MaxTime: int64(j)})
		}
		if err := out.AddSeries(ref, w.series[i].labels, metas...); err != nil {
			return err
		}
		ref++
		i = j
	}
	return nil
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
