package pyroblock

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// sealed puts the checksum behind b: fuzzing would never find it.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, castagnoli))
}

func corruptOrNil(t *testing.T, err error) {
	if err != nil {
		require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
	}
}

func FuzzIndex(f *testing.F) {
	header := []byte{0xba, 0xaa, 0xd7, 0, 2}
	table := sealed([]byte{0, 0, 0, 1, 1, 'a'})
	series := sealed(append(make([]byte, 8), 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0))
	f.Add([]byte{0, 0, 0, 1, 1, 'a'}, append(make([]byte, 8), 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0), uint16(32))
	f.Add(table, series, uint16(5))
	f.Fuzz(func(t *testing.T, table, series []byte, at uint16) {
		file := binary.BigEndian.AppendUint32(bytes.Clone(header), uint32(len(table)))
		file = append(file, sealed(table)...)
		for len(file)%seriesAlign != 0 {
			file = append(file, 0)
		}
		first := uint64(len(file))
		file = binary.AppendUvarint(file, uint64(len(series)))
		file = append(file, sealed(series)...)
		var toc []byte
		for _, v := range []uint64{5, first, uint64(len(file)), uint64(at), 0, 0, 0, 0, 0} {
			toc = binary.BigEndian.AppendUint64(toc, v)
		}
		_, err := readIndex(append(file, sealed(toc)...))
		corruptOrNil(t, err)
		_, err = readIndex(series)
		corruptOrNil(t, err)
	})
}

func FuzzSymdbIndex(f *testing.F) {
	f.Add([]byte("sym1\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00\x00"))
	f.Add([]byte("sym1\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x20" + string(make([]byte, 64))))
	f.Fuzz(func(t *testing.T, b []byte) {
		partitions, err := readSymdbIndex(sealed(b))
		corruptOrNil(t, err)
		for _, p := range partitions {
			require.LessOrEqual(t, len(p.chunks)*chunkSize, len(b))
		}
	})
}

func FuzzTree(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 9, 0, 2, 8, 2, 30}, uint32(4))
	f.Add([]byte{0xff, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0}, uint32(2))
	f.Fuzz(func(t *testing.T, b []byte, nodes uint32) {
		tree, err := readTree(b, nodes)
		corruptOrNil(t, err)
		for i, n := range tree {
			require.Less(t, n.parent, int32(i))
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte(`{"version":3,"ulid":"01ARZ3NDEKTSV4RRFFQ69G5FAV","files":[{"relPath":"index.tsdb","sizeBytes":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMeta(b)
		if err == nil {
			require.LessOrEqual(t, len(m.Needed()), len(m.Files))
		}
	})
}

func FuzzTable(f *testing.F) {
	type row struct {
		Name int64   `parquet:"Name"`
		Many []int64 `parquet:"Many,list"`
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out)
	_, err := w.Write([]row{{1, []int64{1, 2}}, {2, nil}})
	require.NoError(f, err)
	require.NoError(f, w.Close())
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := newTable("x.parquet", bytes.NewReader(b), int64(len(b)), []string{"Name", "Many"}, []string{"None"})
		if err == nil {
			err = table.rows(func(v [][]parquet.Value) error {
				number(v[0])
				list(v[1])
				return nil
			})
		}
		corruptOrNil(t, err)
	})
}
