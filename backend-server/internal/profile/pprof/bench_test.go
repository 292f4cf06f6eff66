package pprof_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// BenchmarkDecode decodes real profiles, as they come and decompressed.
func BenchmarkDecode(b *testing.B) {
	files := testdata(b)
	for _, name := range []string{"go-cpu.pb.gz", "go-heap.pb.gz", "span-labels.pb.gz", "sparse-ids.pb.gz", "unsymbolized.pb.gz"} {
		gz := files[name]
		var d pprof.Decoder
		_, err := d.Decode(gz, pprof.Options{})
		require.NoError(b, err)
		plain := append([]byte(nil), d.Plain()...)
		for form, raw := range map[string][]byte{"gzip": gz, "plain": plain} {
			b.Run(name+"/"+form, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(plain)))
				for b.Loop() {
					if _, err := d.Decode(raw, pprof.Options{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
