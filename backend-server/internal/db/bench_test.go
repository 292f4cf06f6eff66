package db_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
)

// The benchmarks use two real profiles of a Go program. Every profile of a
// series draws two thirds of the samples and gives them other values, so that
// stacks repeat but profiles differ.

var (
	cpuType  = profile.Type{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"}
	heapType = profile.Type{Name: "memory", SampleType: "inuse_space", SampleUnit: "bytes", PeriodType: "space", PeriodUnit: "bytes"}
)

// source is a real profile that records are drawn from.
type source struct {
	name string // file below the decoder's testdata
	typ  profile.Type
}

var sources = []source{{"go-cpu.pb.gz", cpuType}, {"go-heap.pb.gz", heapType}}

func load(b testing.TB, name string) *profile.Profile {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "profile", "pprof", "testdata", name))
	require.NoError(b, err)
	p, err := new(pprof.Decoder).Decode(raw, pprof.Options{})
	require.NoError(b, err)
	return p
}

// draw returns n records over one hour, of ten series of one service.
func draw(b testing.TB, s source, n int) []profile.Record {
	b.Helper()
	p := load(b, s.name)
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]profile.Record, n)
	for i := range out {
		c := *p
		c.Samples, c.Values = nil, nil
		for j := range p.Samples {
			if rng.IntN(3) == 0 {
				continue
			}
			k := 1 + rng.Int64N(4)
			c.Samples = append(c.Samples, p.Samples[j])
			for _, v := range p.Row(j) {
				c.Values = append(c.Values, v*k)
			}
		}
		out[i] = profile.Record{
			ID:        uint64(i + 1),
			Labels:    labels.FromStrings(profile.LabelName, s.typ.Name, profile.LabelServiceName, "bench", "pod", fmt.Sprintf("pod-%d", i%10), profile.LabelDelta, "false"),
			Time:      start + profile.UnixMilli(int64(i)*3_600_000/int64(n)),
			Profile:   &c,
			SampleEnd: len(c.Samples),
		}
	}
	return out
}

func openBench(b *testing.B) *db.DB {
	b.Helper()
	d, err := db.Open(context.Background(), b.TempDir(), db.Options{MaxBlockDuration: 2 * time.Hour})
	require.NoError(b, err)
	b.Cleanup(func() { d.Close() })
	return d
}

func fillBench(b *testing.B, d *db.DB, recs []profile.Record) {
	b.Helper()
	for part := range slices.Chunk(recs, 256) {
		if errs := d.Append(context.Background(), part); errs != nil {
			b.Fatal(errs)
		}
	}
}

// BenchmarkAppend adds decoded profiles, 64 at a time, and waits for the disk.
func BenchmarkAppend(b *testing.B) {
	for _, s := range sources {
		b.Run(s.name, func(b *testing.B) {
			recs := draw(b, s, 2048)
			d := openBench(b)
			b.ReportAllocs()
			id := uint64(len(recs))
			b.ResetTimer()
			for i := 0; i < b.N; i += 64 {
				batch := make([]profile.Record, 64)
				for j := range batch {
					batch[j] = recs[(i+j)%len(recs)]
					id++
					batch[j].ID = id
				}
				if errs := d.Append(context.Background(), batch); errs != nil {
					b.Fatal(errs)
				}
			}
			b.StopTimer()
			stats := d.HeadStats()
			b.ReportMetric(float64(stats.Bytes)/float64(stats.Profiles), "head-B/profile")
		})
	}
}

// BenchmarkFlush makes a block of 1000 profiles; an operation is a profile.
func BenchmarkFlush(b *testing.B) {
	for _, s := range sources {
		b.Run(s.name, func(b *testing.B) {
			recs := draw(b, s, 1000)
			size := int64(0)
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(recs) {
				b.StopTimer()
				d := openBench(b)
				fillBench(b, d, recs)
				b.StartTimer()
				if err := d.Flush(context.Background()); err != nil {
					b.Fatal(err)
				}
				size = d.Unshipped()[0].Meta.Size()
			}
			b.ReportMetric(float64(size)/float64(len(recs)), "block-B/profile")
		})
	}
}

// BenchmarkQuery asks for an hour of a thousand profiles.
func BenchmarkQuery(b *testing.B) {
	ctx := context.Background()
	for _, s := range sources {
		d := openBench(b)
		fillBench(b, d, draw(b, s, 1000))
		whole := query.Selection{Type: s.typ, Range: profile.TimeRange{Start: start, End: start + 3_600_000}}
		one := whole
		one.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "pod", "pod-3")}
		for _, where := range []string{"head", "block"} {
			if where == "block" {
				require.NoError(b, d.Flush(ctx))
			}
			view := d.View(whole.Range)
			for name, sel := range map[string]query.Selection{"service": whole, "series": one} {
				b.Run(fmt.Sprintf("tree/%s/%s/%s", s.name, where, name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						t, err := query.Tree(ctx, view.Units, sel)
						if err != nil || t.Total() == 0 {
							b.Fatal(err)
						}
					}
				})
			}
			b.Run(fmt.Sprintf("series/%s/%s", s.name, where), func(b *testing.B) {
				b.ReportAllocs()
				sel := query.SeriesSelection{Selection: whole, Grid: series.Grid{Start: start, End: start + 3_600_000, StepMillis: 15_000}, GroupBy: []string{"pod"}}
				for b.Loop() {
					if _, err := query.TimeSeries(ctx, view.Units, sel); err != nil {
						b.Fatal(err)
					}
				}
			})
			view.Release()
		}
	}
}

// BenchmarkReplay opens a database with a log of 1000 profiles; an operation
// is a profile.
func BenchmarkReplay(b *testing.B) {
	for _, s := range sources {
		b.Run(s.name, func(b *testing.B) {
			dir := b.TempDir()
			d, err := db.Open(context.Background(), dir, db.Options{})
			require.NoError(b, err)
			fillBench(b, d, draw(b, s, 1000))
			require.NoError(b, d.Close())
			b.ResetTimer()
			for i := 0; i < b.N; i += 1000 {
				d, err := db.Open(context.Background(), dir, db.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				require.Equal(b, int64(1000), d.HeadStats().Profiles)
				require.NoError(b, d.Close())
				b.StartTimer()
			}
		})
	}
}

// multiply puts n copies of the only block of a database beside it, of as many
// earlier hours.
func multiply(b *testing.B, mem *vfs.Mem, n int) {
	b.Helper()
	d, err := db.Open(context.Background(), "data", db.Options{FS: mem})
	require.NoError(b, err)
	from := d.Unshipped()[0]
	require.NoError(b, d.Close())
	data, err := vfs.ReadFile(mem, filepath.Join(from.Dir, block.DataFile))
	require.NoError(b, err)
	for i := range n {
		meta := from.Meta
		meta.ID = ulid.Make()
		meta.MinTime -= profile.UnixMilli(int64(i+1) * time.Hour.Milliseconds())
		meta.MaxTime = meta.MinTime
		raw, err := meta.Marshal()
		require.NoError(b, err)
		dir := filepath.Join(filepath.Dir(from.Dir), meta.ID.String())
		require.NoError(b, mem.MkdirAll(dir))
		require.NoError(b, vfs.WriteFile(mem, filepath.Join(dir, block.DataFile), data))
		require.NoError(b, vfs.WriteFile(mem, filepath.Join(dir, block.MetaFile), raw))
	}
}

// BenchmarkAppendBesideBlocks adds one small profile at a time, not waiting for
// a disk, beside blocks of other hours.
func BenchmarkAppendBesideBlocks(b *testing.B) {
	for _, n := range []int{10, 1250} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			mem := vfs.NewMem()
			gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(1, 2)), Start: start, Length: 1}
			d, err := db.Open(context.Background(), "data", db.Options{FS: mem})
			require.NoError(b, err)
			fillBench(b, d, []profile.Record{gen.Record()})
			require.NoError(b, d.Flush(context.Background()))
			require.NoError(b, d.Close())
			multiply(b, mem, n)
			d, err = db.Open(context.Background(), "data", db.Options{FS: mem, WALSync: wal.SyncInterval})
			require.NoError(b, err)
			b.Cleanup(func() { d.Close() })
			require.Len(b, d.Unshipped(), n+1)
			one := []profile.Record{gen.Record()}
			one[0].Time = start + 1
			b.ReportAllocs()
			for b.Loop() {
				one[0].ID++
				if errs := d.Append(context.Background(), one); errs != nil {
					b.Fatal(errs)
				}
			}
		})
	}
}
