package block

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func TestSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		known := uint32(1 + rng.IntN(1<<rng.IntN(20)))
		stacks, values := []uint32{}, []int64{}
		for s := uint32(rng.IntN(3)); s < known; s += 1 + uint32(rng.IntN(1<<rng.IntN(12))) {
			stacks, values = append(stacks, s), append(values, 1+rng.Int64N(1<<rng.IntN(63)))
		}
		before, after := make([]int64, known), make([]int64, known)
		for i := range before {
			before[i] = rng.Int64N(1000)
			after[i] = before[i]
		}
		gotStacks, gotValues := make([]uint32, len(stacks)), make([]int64, len(stacks))
		require.NoError(t, readStacks(appendStacks(nil, stacks), gotStacks, known))
		require.Equal(t, stacks, gotStacks)
		require.NoError(t, readValues(appendValues(nil, values), gotValues))
		require.Equal(t, values, gotValues)
		clear(gotValues)
		require.NoError(t, readChanges(appendChanges(nil, stacks, values, before), stacks, gotValues, after))
		require.Equal(t, values, gotValues)
		require.Equal(t, before, after)
	}
}

// FuzzSamples decodes any bytes as samples: what comes out keeps the promises.
func FuzzSamples(f *testing.F) {
	f.Add(appendStacks(nil, []uint32{0, 1, 5, 900}), appendValues(nil, []int64{1, 2, 300, 1 << 40}), uint16(4))
	f.Add(appendStacks(nil, []uint32{7}), appendChanges(nil, []uint32{7}, []int64{5}, make([]int64, 8)), uint16(1))
	f.Fuzz(func(t *testing.T, s, v []byte, n uint16) {
		const known = 1000
		stacks, values, last := make([]uint32, n), make([]int64, n), make([]int64, known)
		if err := readStacks(s, stacks, known); err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), err)
			return
		}
		for i, stack := range stacks {
			require.True(t, stack < known && (i == 0 || stack > stacks[i-1]))
		}
		for _, read := range []func() error{func() error { return readValues(v, values) }, func() error { return readChanges(v, stacks, values, last) }} {
			if err := read(); err != nil {
				require.True(t, fault.Is(err, fault.Corrupt), err)
				continue
			}
			for _, value := range values {
				require.Positive(t, value)
			}
		}
	})
}

// FuzzPage gives a page with any content, in rows of any kind, to a scan.
func FuzzPage(f *testing.F) {
	str := func(b []byte) []byte { return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...) }
	one := appendStacks(nil, []uint32{1, 4})
	f.Add(append(str(one), str(one)...), append(str([]byte{9, 9}), str([]byte{0, 2})...), []byte{2, 2 | 0x80}, uint8(0), uint8(2))
	f.Fuzz(func(t *testing.T, stacks, values, rows []byte, from, to uint8) {
		g := &rowGroup{}
		for _, r := range rows { // the number of samples, and whether it is relative
			g.time, g.total, g.unit, g.id = append(g.time, 0), append(g.total, 1), append(g.unit, 1), append(g.id, 1)
			g.n, g.relative = append(g.n, uint32(r&0x7f)), append(g.relative, uint32(r>>7))
		}
		end := min(int64(to), int64(len(rows)))
		if int64(from) >= end {
			return
		}
		s := &rowScan{known: 10, scanMemory: new(scanMemory), fn: func(r *query.Row) error {
			require.Len(t, r.Stacks, r.N)
			require.Len(t, r.Values, r.N)
			return nil
		}}
		err := s.page(context.Background(), g, &pageRows{end: int64(len(rows)), stacks: stacks, values: values}, []run{{from: int64(from), to: end}})
		require.True(t, err == nil || fault.Is(err, fault.Corrupt), err)
	})
}

// columnsFrom cuts bytes into the columns of symbol tables, in turn.
func columnsFrom(b []byte, text []byte) (*bundleReader, *partition) {
	r, p := &bundleReader{text: append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)}, new(partition)
	for s := range symTables {
		n := 0
		if len(b) > 0 {
			n, b = int(b[0]%16), b[1:]
		}
		p.symbols[s].n = int64(n)
		r.columns32[s], r.columns64[s] = make([][]uint32, len(symbolSchemas[s].Columns)), make([][]uint64, len(symbolSchemas[s].Columns))
		for c, column := range symbolSchemas[s].Columns {
			for range n {
				v := uint64(0)
				if len(b) > 0 {
					v, b = uint64(b[0]), b[1:]
				}
				if v == 0xff { // a large one
					v = 1<<63 | 1<<31 | 0xf0
				}
				if column.Kind == table.Uint32 {
					r.columns32[s][c] = append(r.columns32[s][c], uint32(v))
				} else {
					r.columns64[s][c] = append(r.columns64[s][c], v)
				}
			}
		}
	}
	return r, p
}

// FuzzSymbols decodes symbol columns of any content. Of what is accepted, every
// index is within its table.
func FuzzSymbols(f *testing.F) {
	f.Add([]byte{2, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 1}, []byte("f"))
	f.Fuzz(func(t *testing.T, b, text []byte) {
		r, p := columnsFrom(b, text)
		table, err := r.partition(p)
		if err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), err)
			return
		}
		for _, s := range table.Stacks {
			for n := s; n != 0; n = table.Nodes[n].Parent {
				require.Less(t, table.Nodes[n].Parent, n)
				l := table.Locations[table.Nodes[n].Location]
				_ = table.Mappings[l.Mapping]
				for _, line := range table.Lines[l.LineStart:l.LineEnd] {
					_ = table.FunctionName(line.Function)
				}
			}
		}
	})
}

// FuzzCounters gives a layout of three row series any table of running totals.
func FuzzCounters(f *testing.F) {
	f.Add([]byte{0, 5, 7, 1, 0, 9, 2, 3, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &layout{
			rowSeries: []rowSeries{{rows: span{0, 2}}, {rows: span{2, 1}}, {rows: span{3, 3}}},
			digests:   &digests{window: []int64{0, 1, 7, 8}, digest: make([]query.Digest, 4), starts: []int{0, 2, 3, 4}},
		}
		columns := make([][]uint64, 3)
		for i, v := range b {
			columns[i%3] = append(columns[i%3], uint64(v)<<(v%57))
		}
		columns[1], columns[2] = columns[1][:len(b)/3], columns[2][:len(b)/3]
		columns[0] = columns[0][:len(b)/3]
		if err := l.takeCounters(columns); err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), err)
			return
		}
		end := int64(0)
		for i := range l.rowSeries { // they follow each other
			if rows, ok := l.counters.rows(l, uint32(i)); ok {
				require.Equal(t, span{end, l.rowSeries[i].rows.n}, rows)
				end = rows.end()
			}
		}
		for i, r := range l.counters.reach {
			require.LessOrEqual(t, r.Begin, r.End)
			require.True(t, r == (query.Reach{}) || query.WindowOf(r.End) == l.digests.window[i])
		}
	})
}

// endless is an input of many rows that are made when they are asked for.
type endless struct {
	series, rows, samples int
	table                 symbols.Table
}

func newEndless(series, rows, samples int) *endless {
	e := &endless{series: series, rows: rows, samples: samples}
	e.table = symbols.Table{Strings: []string{""}, Mappings: []profile.Mapping{{}}, Nodes: []symbols.Node{{}}}
	for i := range uint32(samples) {
		e.table.Strings = append(e.table.Strings, fmt.Sprint("function", i))
		e.table.Functions = append(e.table.Functions, profile.Function{Name: i + 1})
		e.table.Lines = append(e.table.Lines, profile.Line{Function: i})
		e.table.Locations = append(e.table.Locations, profile.Location{LineStart: i, LineEnd: i + 1})
		e.table.Nodes = append(e.table.Nodes, symbols.Node{Location: i})
		e.table.Stacks = append(e.table.Stacks, i+1)
	}
	return e
}

func (e *endless) Origin() query.Origin { return query.Origin{} }
func (e *endless) Partitions() []string { return []string{"service"} }
func (e *endless) TimeRange() profile.TimeRange {
	return profile.TimeRange{Start: 0, End: profile.UnixMilli(e.rows) * 1000}
}

func (e *endless) Select(context.Context, ...*labels.Matcher) ([]query.Series, error) {
	out := make([]query.Series, e.series)
	for i := range out {
		out[i] = query.Series{Labels: labels.FromStrings("pod", fmt.Sprint(i), profile.LabelProfileType, "a:b:c:d:e"), Rows: uint32(i)}
	}
	return out, nil
}

func (e *endless) Symbols(context.Context, uint32) (*symbols.Table, error) { return &e.table, nil }

func (e *endless) Scan(_ context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	row := query.Row{N: e.samples, Unit: 1}
	for _, s := range req.Rows {
		for i := range e.rows {
			row.Rows, row.Time, row.ID = s, profile.UnixMilli(i)*1000, uint64(s)<<32|uint64(i)
			if !req.Range.Contains(row.Time) {
				continue
			}
			row.Stacks, row.Values, row.Total = row.Stacks[:0], row.Values[:0], 0
			for k := range e.samples {
				v := int64(k*i%997 + 1)
				row.Total += v
				if !req.TotalsOnly {
					row.Stacks, row.Values = append(row.Stacks, uint32(k)), append(row.Values, v)
				}
			}
			if err := fn(&row); err != nil {
				return err
			}
		}
	}
	return nil
}

// What the writer takes does not grow with the rows: four times as many, a
// hundred megabytes of samples, take what a quarter of them does.
func TestWriterMemory(t *testing.T) {
	peak := func(rows int) int {
		in := newEndless(2, rows, 2000)
		data := newDataWriter(io.Discard)
		w := newWriter(in, in.TimeRange(), data, new(Meta), Options{})
		require.NoError(t, w.run(context.Background()))
		require.Equal(t, int64(2*rows), w.meta.Stats.Rows)
		require.Less(t, w.peak, 48<<20)
		return w.peak
	}
	few, many := peak(600), peak(2400)
	require.Less(t, many, few+few/2)
}

// TestWrongCounters are refused: what a block says of running totals has to be
// about its digests and rows.
func TestWrongCounters(t *testing.T) {
	const hour = query.DigestWindow
	take := func(columns [][]uint64) (*layout, error) {
		l := &layout{
			rowSeries: []rowSeries{{rows: span{0, 3}}, {rows: span{3, 1}}, {rows: span{4, 2}}},
			digests:   &digests{window: []int64{1, 2, 1, 2}, digest: make([]query.Digest, 4), starts: []int{0, 2, 3, 4}},
		}
		return l, l.takeCounters(columns)
	}
	l, err := take([][]uint64{{0, 1, 2}, {1, 0, zigzag(hour+7) + 1}, {5, hour - 1, 0}})
	require.NoError(t, err)
	require.Equal(t, []query.Reach{{Begin: hour, End: hour + 5}, {Begin: math.MinInt64, End: 3*hour - 1}, {}, {Begin: hour - 7, End: 2 * hour}}, l.counters.reach)
	require.Equal(t, []int64{0, noCounter, 3 - 4}, l.counters.shift)
	for name, columns := range map[string][][]uint64{
		"no such digest":          {{4}, {0}, {0}},
		"a number that overflows": {{2, math.MaxUint64}, {0, 0}, {0, 0}},
		"one digest twice":        {{2, 0}, {0, 0}, {0, 0}},
		"an end in another hour":  {{2}, {0}, {hour}},
		"an end that overflows":   {{2}, {0}, {math.MaxUint64}},
		"a begin behind the end":  {{2}, {zigzag(-8) + 1}, {7}},
	} {
		_, err := take(columns)
		require.True(t, fault.Is(err, fault.Corrupt), "%s: %v", name, err)
	}
}

// totals is endless as running totals.
type totals struct{ *endless }

func (e totals) Select(context.Context, ...*labels.Matcher) ([]query.Series, error) {
	out := make([]query.Series, e.series)
	for i := range out {
		out[i] = query.Series{Rows: uint32(i), Labels: labels.FromStrings("pod", fmt.Sprint(i),
			profile.LabelName, "memory", profile.LabelType, "alloc_space", profile.LabelProfileType, "a:b:c:d:e")}
	}
	return out, nil
}

func (e totals) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	return e.endless.Scan(ctx, req, func(r *query.Row) error {
		r.Since = sinceOfTotal(r)
		return fn(r)
	})
}

func sinceOfTotal(r *query.Row) uint32 { return uint32(r.Time)/1000 + r.Rows + 1 }

// Since when totals grew is known of each row, in whatever row group it is.
func TestSinceInManyRowGroups(t *testing.T) {
	in := totals{newEndless(2, rowsPerRowGroup+1000, 1)}
	dir := t.TempDir()
	_, err := Write(t.Context(), vfs.OS{}, dir, ulid.Make(), in, in.TimeRange())
	require.NoError(t, err)
	b, err := OpenDir(dir)
	require.NoError(t, err)
	defer b.Close()
	rows := 0
	req := query.ScanRequest{Rows: []uint32{0, 1}, Range: in.TimeRange(), TotalsOnly: true, Since: true}
	require.NoError(t, b.Scan(t.Context(), req, func(r *query.Row) error {
		rows++
		if want := sinceOfTotal(r); r.Since != want { // require is slow
			return fmt.Errorf("since %d, not %d", r.Since, want)
		}
		return nil
	}))
	require.Equal(t, in.series*in.rows, rows)
}
