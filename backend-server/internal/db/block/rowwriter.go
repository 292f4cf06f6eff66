package block

import (
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
)

// Bounds of what a reader has to look at for one row: a page, and a row group.
const (
	samplesPerPage     = 1 << 16
	rowsPerPage        = 1 << 12
	samplesPerRowGroup = 1 << 20
	rowsPerRowGroup    = 1 << 16
)

// rowWriter writes rows, of profiles or of sums, in row groups.
type rowWriter struct {
	out *table.Writer

	// Of the row group being filled.
	time, id, total, unit []uint64
	n, relative           []uint32
	stacks, values        *table.Pages
	samples               int

	pageRows, pageSamples int // of the page being filled
	key                   uint32
	lastTime              int64
	last                  []int64 // of the row series being written, by stack
	known                 bool    // whether last is that of the row before
	buf                   []byte
}

func newRowWriter(out *table.Writer, c table.Compression, scratch *table.Scratch) *rowWriter {
	return &rowWriter{out: out, stacks: table.NewPages(c, scratch), values: table.NewPages(c, scratch)}
}

// row is one row to be written.
type row struct {
	time, total, unit int64
	id                uint64
	since             uint32 // see query.Row
	stacks            []uint32
	values            []int64
}

// partition begins a partition with so many stacks.
func (w *rowWriter) partition(stacks int) {
	if cap(w.last) < stacks {
		w.last = make([]int64, stacks)
	}
	w.last = w.last[:stacks]
	w.known = false
}

// add writes a row of the row series key. relative says that values are worth
// being stored as changes.
func (w *rowWriter) add(key uint32, r *row, relative bool) error {
	fresh := len(w.time) == 0 || w.key != key
	if fresh {
		w.lastTime, w.known, w.key = 0, false, key
	}
	w.time = append(w.time, zigzag(r.time-w.lastTime))
	w.lastTime = r.time
	w.id, w.total, w.unit = append(w.id, r.id), append(w.total, uint64(r.total)), append(w.unit, uint64(r.unit))
	w.n = append(w.n, uint32(len(r.stacks)))
	w.buf = appendStacks(w.buf[:0], r.stacks)
	w.stacks.Add(w.buf)
	if relative && w.known && w.pageRows > 0 {
		w.relative = append(w.relative, 1)
		w.buf = appendChanges(w.buf[:0], r.stacks, r.values, w.last)
	} else {
		w.relative = append(w.relative, 0)
		w.buf = appendValues(w.buf[:0], r.values)
		if w.known = relative; relative {
			clear(w.last)
			note(r.stacks, r.values, w.last)
		}
	}
	w.values.Add(w.buf)
	return w.count(len(r.stacks))
}

// count counts a row with n samples and ends the page and the row group if they
// are full.
func (w *rowWriter) count(n int) error {
	w.pageRows++
	w.pageSamples += n
	w.samples += n
	if w.pageSamples >= samplesPerPage || w.pageRows >= rowsPerPage {
		if err := w.cut(); err != nil {
			return err
		}
	}
	if w.samples >= samplesPerRowGroup || len(w.time) >= rowsPerRowGroup {
		return w.flush()
	}
	return nil
}

func (w *rowWriter) cut() error {
	w.pageRows, w.pageSamples = 0, 0
	if err := w.stacks.Cut(); err != nil {
		return err
	}
	return w.values.Cut()
}

// flush writes the row group.
func (w *rowWriter) flush() error {
	if len(w.time) == 0 {
		return nil
	}
	w.out.Begin(len(w.time))
	for _, c := range [][]uint64{w.time, w.id, w.total, w.unit} {
		if err := w.out.Uint64s(c); err != nil {
			return err
		}
	}
	for _, c := range [][]uint32{w.n, w.relative} {
		if err := w.out.Uint32s(c); err != nil {
			return err
		}
	}
	for _, c := range []*table.Pages{w.stacks, w.values} {
		if err := w.out.Pages(c); err != nil {
			return err
		}
	}
	w.time, w.id, w.total, w.unit = w.time[:0], w.id[:0], w.total[:0], w.unit[:0]
	w.n, w.relative = w.n[:0], w.relative[:0]
	w.samples, w.pageRows, w.pageSamples = 0, 0, 0
	return nil
}

// size is the memory that the row group takes.
func (w *rowWriter) size() int {
	return w.stacks.Size() + w.values.Size() + 40*cap(w.time) + 8*cap(w.last)
}

// rowsTried is how many rows decide for a row series how values are stored.
const rowsTried = 24

// changesPay tells whether the values of rows that follow each other compress
// better as changes.
func (w *rowWriter) changesPay(rows []row) bool {
	if len(rows) < 2 {
		return false
	}
	var plain, changes entropy
	clear(w.last)
	w.known = false
	for i := range rows[:min(len(rows), rowsTried)] {
		r := &rows[i]
		if i == 0 {
			note(r.stacks, r.values, w.last)
			continue
		}
		w.buf = appendValues(w.buf[:0], r.values)
		plain.add(w.buf)
		w.buf = appendChanges(w.buf[:0], r.stacks, r.values, w.last)
		changes.add(w.buf)
	}
	return changes.bits() < plain.bits()
}
