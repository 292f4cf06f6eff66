package table_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

var schema = table.Schema{Name: "things", Columns: []table.Column{
	{Name: "small"}, {Name: "large", Kind: table.Uint64}, {Name: "id", Kind: table.Random}, {Name: "text", Kind: table.Bytes},
}}

// thing is a row of the table, as parquet-go reads it.
type thing struct {
	Small uint32 `parquet:"small"`
	Large uint64 `parquet:"large"`
	ID    uint64 `parquet:"id"`
	Text  []byte `parquet:"text"`
}

// file is a file of tables in memory.
type file struct{ bytes.Buffer }

func (f *file) Offset() int64 { return int64(f.Len()) }

func things(n int) []thing {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	out := make([]thing, n)
	for i := range out {
		out[i] = thing{uint32(rng.IntN(1000)), uint64(i * 1000), rng.Uint64(), fmt.Append(nil, "text ", i%17)}
	}
	return out
}

// writeGroup writes a row group, with pages of 100 texts.
func writeGroup(t testing.TB, w *table.Writer, pages *table.Pages, rows []thing) {
	var small []uint32
	var large, id []uint64
	for i, r := range rows {
		small, large, id = append(small, r.Small), append(large, r.Large), append(id, r.ID)
		pages.Add(r.Text)
		if i%100 == 99 {
			require.NoError(t, pages.Cut())
		}
	}
	w.Begin(len(rows))
	require.NoError(t, w.Uint32s(small))
	require.NoError(t, w.Uint64s(large))
	require.NoError(t, w.Uint64s(id))
	require.NoError(t, w.Pages(pages))
}

// written returns a file with two tables whose row groups lie mixed, and where
// their footers begin and end.
func written(t testing.TB, c table.Compression, first, second []thing) (f *file, ends [3]int64) {
	t.Helper()
	f = new(file)
	f.WriteString(table.Magic)
	var scratch table.Scratch
	a, b := table.NewWriter(f, schema, c, &scratch), table.NewWriter(f, schema, c, &scratch)
	pages := table.NewPages(c, &scratch)
	for from := 0; from < max(len(first), len(second)); from += 350 {
		for _, one := range []struct {
			w    *table.Writer
			rows []thing
		}{{a, first}, {b, second}} {
			if from < len(one.rows) {
				writeGroup(t, one.w, pages, one.rows[from:min(len(one.rows), from+350)])
			}
		}
	}
	ends[0] = f.Offset()
	require.NoError(t, a.Footer())
	ends[1] = f.Offset()
	require.NoError(t, b.Footer())
	ends[2] = f.Offset()
	return f, ends
}

// read reads a table back.
func read(b []byte, from, to int64) (out []thing, err error) {
	t, err := table.Open(b[from:to], from, schema)
	if err != nil {
		return nil, err
	}
	var s table.ReadScratch
	chunk := func(c *table.Chunk) []byte { return b[c.Offset : c.Offset+c.Size] }
	for g := range t.Groups {
		c := t.Groups[g].Chunks
		small, err := c[0].Uint32s(chunk(&c[0]), &s)
		if err != nil {
			return nil, err
		}
		large, err := c[1].Uint64s(chunk(&c[1]), &s)
		if err != nil {
			return nil, err
		}
		id, err := c[2].Uint64s(chunk(&c[2]), &s)
		if err != nil {
			return nil, err
		}
		for i := range small {
			out = append(out, thing{Small: small[i], Large: large[i], ID: id[i]})
		}
		at := int(t.Groups[g].First)
		for _, p := range c[3].Pages {
			page, err := c[3].Bytes(b[p.Offset:p.Offset+p.Size], &s)
			if err != nil {
				return nil, err
			}
			for len(page) > 0 {
				var v []byte
				if v, page, err = table.Next(page); err != nil {
					return nil, err
				}
				if at >= len(out) {
					return nil, fault.New(fault.Corrupt, "more texts than rows")
				}
				out[at].Text = bytes.Clone(v)
				at++
			}
		}
	}
	return out, nil
}

// Both this package and parquet-go read what was written: parquet-go is given
// the file up to the end of the table's footer.
func TestRoundTrip(t *testing.T) {
	for _, c := range []table.Compression{table.Zstd, table.None} {
		first, second := things(1234), things(10)
		f, ends := written(t, c, first, second)
		for i, want := range [][]thing{first, second} {
			got, err := read(f.Bytes(), ends[i], ends[i+1])
			require.NoError(t, err)
			require.Equal(t, want, got)
			whole := bytes.NewReader(f.Bytes()[:ends[i+1]])
			theirs, err := parquet.Read[thing](whole, whole.Size())
			require.NoError(t, err)
			require.Equal(t, want, theirs)
		}
	}
}

// More numbers than a page holds.
func TestManyPages(t *testing.T) {
	const n = 1<<20 + 77
	s := table.Schema{Name: "numbers", Columns: []table.Column{{Name: "n", Kind: table.Uint64}}}
	f := new(file)
	f.WriteString(table.Magic)
	w := table.NewWriter(f, s, table.Zstd, new(table.Scratch))
	want := make([]uint64, n)
	for i := range want {
		want[i] = uint64(i) * 3
	}
	w.Begin(n)
	require.NoError(t, w.Uint64s(want))
	at := f.Offset()
	require.NoError(t, w.Footer())
	tab, err := table.Open(f.Bytes()[at:], at, s)
	require.NoError(t, err)
	require.Equal(t, int64(n), tab.Rows())
	require.Equal(t, []int{0, 0, 1}, []int{tab.Find(0), tab.Find(n - 1), tab.Find(n)})
	c := &tab.Groups[0].Chunks[0]
	got, err := c.Uint64s(f.Bytes()[c.Offset:c.Offset+c.Size], new(table.ReadScratch))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A damaged byte of a page is found, wherever it is.
func TestDamage(t *testing.T) {
	for _, c := range []table.Compression{table.Zstd, table.None} {
		want := things(300)
		f, ends := written(t, c, want, nil)
		for at := len(table.Magic); at < int(ends[0]); at++ {
			broken := bytes.Clone(f.Bytes())
			broken[at] ^= 0x10
			got, err := read(broken, ends[0], ends[1])
			if err == nil {
				require.Equal(t, want, got, "byte %d", at) // it did no harm
				continue
			}
			require.True(t, fault.Is(err, fault.Corrupt), err)
		}
	}
}

// FuzzTable reads damaged tables: an error of kind Corrupt at most.
func FuzzTable(f *testing.F) {
	for _, c := range []table.Compression{table.Zstd, table.None} {
		b, ends := written(f, c, things(120), nil)
		f.Add(b.Bytes(), uint16(ends[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte, footer uint16) {
		if int(footer) > len(b) {
			return
		}
		if _, err := read(b, int64(footer), int64(len(b))); err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), err)
		}
	})
}
