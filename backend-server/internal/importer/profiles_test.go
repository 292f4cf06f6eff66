package importer_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	google "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/blocktool"
	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const (
	cpuType   = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
	allocType = "memory:alloc_space:bytes:space:bytes"
	inuseType = "memory:inuse_space:bytes:space:bytes"
)

// cpu is a profile of n samples of 10 ms.
func cpu(at time.Time, n int64) *google.Profile {
	return flat([]*google.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}, "cpu", "nanoseconds", at, n, n*10_000_000)
}

// heap is a profile of a heap of which n bytes were allocated.
func heap(at time.Time, n int64) *google.Profile {
	return flat([]*google.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}, {Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}},
		"space", "bytes", at, n/10, n, 1, 7)
}

func flat(types []*google.ValueType, period, unit string, at time.Time, values ...int64) *google.Profile {
	f := &google.Function{ID: 1, Name: "main.main"}
	l := &google.Location{ID: 1, Line: []google.Line{{Function: f, Line: 3}}}
	p := &google.Profile{
		SampleType: types, PeriodType: &google.ValueType{Type: period, Unit: unit}, Period: 1,
		Function: []*google.Function{f}, Location: []*google.Location{l},
		Sample: []*google.Sample{{Location: []*google.Location{l}, Value: values}},
	}
	if !at.IsZero() {
		p.TimeNanos = at.UnixNano()
	}
	return p
}

var longAgo = time.Date(2019, 5, 6, 7, 0, 0, 0, time.UTC)

func TestProfiles(t *testing.T) {
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	write(t, cpu(longAgo, 5), filepath.Join(dir, "shop", "pod-1", "a.pb.gz"))
	write(t, cpu(longAgo, 5), filepath.Join(dir, "shop", "pod-1", "the same.pb.gz"))
	write(t, cpu(longAgo.Add(time.Minute), 6), filepath.Join(dir, "shop", "pod-2", "b.pb.gz"))
	write(t, cpu(time.Time{}, 7), filepath.Join(dir, "bank", "pod-1", "without a time"))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "bank", "pod-1", "without a time"), longAgo, longAgo.Add(25*time.Hour)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no profile at all"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".hidden"), []byte("not looked at"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty.pb.gz"), nil, 0o644))

	for round := range 2 {
		var complaints bad
		res, err := importFolder(t.Context(), bkt, dir, &complaints, func(o *importer.ProfileOptions) {
			o.Levels = []string{"service_name", "pod"}
			o.Labels = []profile.LabelPair{{Name: "region", Value: "eu"}}
		})
		require.NoError(t, err)
		require.Equal(t, []int{6, 4, 2, 2}, []int{res.Files, res.Imported, res.Bad, res.Blocks}, "%v", complaints)
		require.Len(t, complaints.files, 2)
		require.Contains(t, complaints.files[0]+complaints.files[1], "empty.pb.gz: profile is empty")
		require.EqualValues(t, (5+6+7)*10_000_000, sum(t, bkt, tenantID, cpuType), "round %d: to import again, or the same file twice, changes nothing", round)
		requireSound(t, bkt)
	}
	place := blocktool.Bucket{BucketReader: bkt}
	blocks, err := blocktool.Find(t.Context(), place, tenantID, nil)
	require.NoError(t, err)
	list, err := blocktool.List(t.Context(), place, blocks, true, nil)
	require.NoError(t, err)
	require.Len(t, list, 4)
	require.Equal(t, []string{"shop"}, list[0].Services)
	require.EqualValues(t, longAgo.UnixMilli(), list[0].Meta.MinTime)
	require.EqualValues(t, longAgo.Add(time.Minute).UnixMilli(), list[0].Meta.MaxTime)
	require.EqualValues(t, longAgo.Add(25*time.Hour).UnixMilli(), list[3].Meta.MinTime, "the time of the file")
	require.NotEqual(t, list[0].Meta.Source, list[1].Meta.Source, "each import is a source")
	there, err := bkt.Exists(t.Context(), bucket.Marker)
	require.NoError(t, err)
	require.False(t, there, "that is for those who open the bucket")
}

// TestRunningTotals imports heaps that say what was allocated since the process
// began, in an order that is not that of their times.
func TestRunningTotals(t *testing.T) {
	for _, c := range []struct {
		what   string
		memory int64
		labels []profile.LabelPair
		want   int64
	}{
		{"in one block", 64 << 20, nil, 150 - 100 + 400 - 150},
		{"flushed after each", 0, nil, 150 - 100 + 400 - 150},
		{"differences already", 64 << 20, []profile.LabelPair{{Name: profile.LabelDelta, Value: "false"}}, 100 + 150 + 400},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir, bkt := t.TempDir(), objstore.NewInMemBucket()
			write(t, heap(longAgo.Add(2*time.Minute), 400), filepath.Join(dir, "a"))
			write(t, heap(longAgo, 100), filepath.Join(dir, "b"))
			write(t, heap(longAgo.Add(time.Minute), 150), filepath.Join(dir, "c"))
			var complaints bad
			res, err := importFolder(t.Context(), bkt, dir, &complaints, func(o *importer.ProfileOptions) {
				o.MaxMemory, o.Labels = c.memory, append(c.labels, profile.LabelPair{Name: "service_name", Value: "shop"})
			})
			require.NoError(t, err)
			require.Empty(t, complaints.files)
			if c.memory == 0 {
				require.Greater(t, res.Blocks, 1)
			}
			require.Equal(t, c.want, sum(t, bkt, tenantID, allocType))
			require.EqualValues(t, 3*7, sum(t, bkt, tenantID, inuseType))
			requireSound(t, bkt)
		})
	}
}

func TestRealProfiles(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	var complaints bad
	res, err := importFolder(t.Context(), bkt, "../profile/pprof/testdata", &complaints, func(o *importer.ProfileOptions) { o.MaxMemory = 1 << 20 })
	require.NoError(t, err)
	require.Empty(t, complaints.files)
	require.Equal(t, res.Files, res.Imported)
	requireSound(t, bkt)

	raw, err := os.ReadFile("../profile/pprof/testdata/go-cpu.pb.gz")
	require.NoError(t, err)
	p, err := google.ParseData(raw)
	require.NoError(t, err)
	want := int64(0)
	for _, s := range p.Sample {
		want += s.Value[1]
	}
	one := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(one, "cpu"), raw, 0o644))
	alone := objstore.NewInMemBucket()
	_, err = importFolder(t.Context(), alone, one, &complaints, nil)
	require.NoError(t, err)
	require.Equal(t, want, sum(t, alone, tenantID, cpuType))
}

func TestProfilesRefuses(t *testing.T) {
	var complaints bad
	_, err := importFolder(t.Context(), objstore.NewInMemBucket(), t.TempDir(), &complaints, func(o *importer.ProfileOptions) { o.Tenant = "a/b" })
	require.ErrorContains(t, err, "a/b")
	_, err = importFolder(t.Context(), objstore.NewInMemBucket(), filepath.Join(t.TempDir(), "nowhere"), &complaints, nil)
	require.ErrorContains(t, err, "nowhere")
}
