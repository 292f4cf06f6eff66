package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	tsdb "github.com/prometheus/prometheus/tsdb/index"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Series is a series for an index and the number it is found by.
type Series struct {
	Labels labels.Labels
	Ref    uint64
}

// Marshal returns a TSDB index, format 2, of series in the order of their
// labels; series with equal labels must follow each other. The numbers stand in
// place of chunk references; chunk times are all zero.
//
// Prometheus' own writer is made for indices of gigabytes: it wants three files
// of its own, syncs them and takes 20 MB of buffers, which is more work than
// all the rest of a block of the size that a head is.
func Marshal(series []Series) ([]byte, error) {
	w := &writer{symbols: map[string]uint32{}, postings: map[string]map[string][]uint32{}}
	w.b = append(binary.BigEndian.AppendUint32(w.b, tsdb.MagicIndex), tsdb.FormatV2)
	var toc [6]uint64
	toc[0] = w.at()
	if err := w.symbolTable(series); err != nil {
		return nil, err
	}
	toc[1] = w.at()
	if err := w.series(series); err != nil {
		return nil, err
	}
	toc[2] = w.at() // label indices, which format 2 has no reader of
	toc[4] = w.at()
	offsets, err := w.postingLists()
	if err != nil {
		return nil, err
	}
	toc[3], toc[5] = w.at(), w.at()
	if err := w.framed(offsets); err != nil {
		return nil, err
	}
	start := len(w.b)
	for _, v := range toc {
		w.b = binary.BigEndian.AppendUint64(w.b, v)
	}
	w.checksum(start)
	return w.b, nil
}

// writer holds an index being made. Where a section has a length in front, it
// counts what lies between it and the checksum.
type writer struct {
	b        []byte
	symbols  map[string]uint32
	postings map[string]map[string][]uint32 // by label name and value
}

func (w *writer) at() uint64 { return uint64(len(w.b)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum ends what began at start.
func (w *writer) checksum(start int) {
	w.b = binary.BigEndian.AppendUint32(w.b, crc32.Checksum(w.b[start:], castagnoli))
}

func (w *writer) pad(size int) {
	for len(w.b)%size != 0 {
		w.b = append(w.b, 0)
	}
}

// framed writes content with its length and checksum.
func (w *writer) framed(content []byte) error {
	if len(content) > math.MaxUint32 {
		return fault.New(fault.Invalid, "index section of %d bytes; the limit is %d", len(content), uint32(math.MaxUint32))
	}
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(len(content)))
	start := len(w.b)
	w.b = append(w.b, content...)
	w.checksum(start)
	return nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (w *writer) symbolTable(series []Series) error {
	for i := range series {
		series[i].Labels.Range(func(l labels.Label) { w.symbols[l.Name], w.symbols[l.Value] = 0, 0 })
	}
	sorted := slices.Sorted(maps.Keys(w.symbols))
	content := binary.BigEndian.AppendUint32(nil, uint32(len(sorted)))
	for i, s := range sorted {
		w.symbols[s] = uint32(i)
		content = appendString(content, s)
	}
	return w.framed(content)
}

// seriesAlign is what the offsets of series are multiples of; references count
// in it.
const seriesAlign = 16

func (w *writer) series(series []Series) error {
	var entry []byte
	for i := 0; i < len(series); {
		same := i + 1
		for same < len(series) && labels.Equal(series[i].Labels, series[same].Labels) {
			same++
		}
		w.pad(seriesAlign)
		ref := w.at() / seriesAlign
		if ref > math.MaxUint32 {
			return fault.New(fault.Invalid, "index of %d bytes before series %d; the limit is 64 GiB", w.at(), i)
		}
		entry = w.entry(entry[:0], series[i:same], uint32(ref))
		w.b = binary.AppendUvarint(w.b, uint64(len(entry)))
		start := len(w.b)
		w.b = append(w.b, entry...)
		w.checksum(start)
		if same < len(series) && labels.Compare(series[i].Labels, series[same].Labels) > 0 {
			return fmt.Errorf("series %s is not behind %s", series[same].Labels, series[i].Labels)
		}
		i = same
	}
	return nil
}

// entry returns the entry of series with equal labels and adds ref to the
// postings.
func (w *writer) entry(b []byte, same []Series, ref uint32) []byte {
	w.post(allName, allValue, ref)
	b = binary.AppendUvarint(b, uint64(same[0].Labels.Len()))
	same[0].Labels.Range(func(l labels.Label) {
		b = binary.AppendUvarint(b, uint64(w.symbols[l.Name]))
		b = binary.AppendUvarint(b, uint64(w.symbols[l.Value]))
		w.post(l.Name, l.Value, ref)
	})
	b = binary.AppendUvarint(b, uint64(len(same)))
	for i, s := range same {
		b = append(b, 0, 0) // times
		if i == 0 {
			b = binary.AppendUvarint(b, s.Ref)
		} else {
			b = binary.AppendVarint(b, int64(s.Ref-same[i-1].Ref))
		}
	}
	return b
}

func (w *writer) post(name, value string, ref uint32) {
	values := w.postings[name]
	if values == nil {
		values = map[string][]uint32{}
		w.postings[name] = values
	}
	values[value] = append(values[value], ref)
}

// postingLists writes the postings and returns the table of their offsets.
func (w *writer) postingLists() ([]byte, error) {
	count := 0
	table := make([]byte, 4)
	var list []byte
	for _, name := range slices.Sorted(maps.Keys(w.postings)) {
		values := w.postings[name]
		for _, value := range slices.Sorted(maps.Keys(values)) {
			w.pad(4)
			table = appendString(appendString(append(table, 2), name), value)
			table = binary.AppendUvarint(table, w.at())
			count++
			list = binary.BigEndian.AppendUint32(list[:0], uint32(len(values[value])))
			for _, ref := range values[value] {
				list = binary.BigEndian.AppendUint32(list, ref)
			}
			if err := w.framed(list); err != nil {
				return nil, err
			}
		}
	}
	binary.BigEndian.PutUint32(table, uint32(count))
	return table, nil
}
