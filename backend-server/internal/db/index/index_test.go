package index_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	tsdb "github.com/prometheus/prometheus/tsdb/index"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/index"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// someSeries returns n series in order, some with the labels of the one before.
func someSeries(n int) []index.Series {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]index.Series, n)
	for i := range out {
		ls := labels.FromStrings("service_name", fmt.Sprint("service-", rng.IntN(7)), "pod", fmt.Sprint("pod-", rng.IntN(n)))
		if rng.IntN(3) == 0 {
			ls = labels.FromStrings("service_name", fmt.Sprint("service-", rng.IntN(7)))
		}
		out[i].Labels = ls
	}
	slices.SortFunc(out, func(a, b index.Series) int { return labels.Compare(a.Labels, b.Labels) })
	for i := range out {
		out[i].Ref = uint64(i)
	}
	return out
}

func selected(t *testing.T, b []byte, matchers ...*labels.Matcher) []index.Series {
	t.Helper()
	r, err := index.Open(b)
	require.NoError(t, err)
	var out []index.Series
	require.NoError(t, r.Select(context.Background(), func(s index.Series) error {
		out = append(out, s)
		return nil
	}, matchers...))
	slices.SortFunc(out, func(a, b index.Series) int { return int(a.Ref) - int(b.Ref) })
	return out
}

func TestMarshalAndSelect(t *testing.T) {
	for _, n := range []int{0, 1, 2, 40, 3000} {
		series := someSeries(n)
		b, err := index.Marshal(series)
		require.NoError(t, err)
		require.Equal(t, len(series), len(selected(t, b)))
		for _, m := range []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "service_name", "service-3"),
			labels.MustNewMatcher(labels.MatchEqual, "pod", ""),
			labels.MustNewMatcher(labels.MatchNotEqual, "pod", ""),
			labels.MustNewMatcher(labels.MatchRegexp, "pod", "pod-.*1"),
			labels.MustNewMatcher(labels.MatchNotRegexp, "service_name", "service-(1|2)"),
			labels.MustNewMatcher(labels.MatchEqual, "no", "such"),
		} {
			var want []index.Series
			for _, s := range series {
				if m.Matches(s.Labels.Get(m.Name)) {
					want = append(want, s)
				}
			}
			require.Equal(t, want, selected(t, b, m), "%d series, %s", n, m)
		}
	}
}

// What Prometheus' own writer makes of the same series, but for the chunk
// times, which it wants to ascend, is found the same way.
func TestSameAsPrometheus(t *testing.T) {
	series := someSeries(500)
	name := filepath.Join(t.TempDir(), "index")
	w, err := tsdb.NewWriter(context.Background(), name)
	require.NoError(t, err)
	symbols := map[string]bool{}
	for _, s := range series {
		s.Labels.Range(func(l labels.Label) { symbols[l.Name], symbols[l.Value] = true, true })
	}
	for _, s := range slices.Sorted(maps.Keys(symbols)) {
		require.NoError(t, w.AddSymbol(s))
	}
	for i := 0; i < len(series); {
		var metas []chunks.Meta
		j := i
		for ; j < len(series) && labels.Equal(series[i].Labels, series[j].Labels); j++ {
			metas = append(metas, chunks.Meta{Ref: chunks.ChunkRef(j), MinTime: int64(j), MaxTime: int64(j)})
		}
		require.NoError(t, w.AddSeries(storage.SeriesRef(i), series[i].Labels, metas...))
		i = j
	}
	require.NoError(t, w.Close())
	theirs, err := tsdb.NewFileReader(name, tsdb.DecodePostingsRaw)
	require.NoError(t, err)
	defer theirs.Close()
	b, err := index.Marshal(series)
	require.NoError(t, err)
	ours, err := index.Open(b)
	require.NoError(t, err)
	require.Equal(t, theirs.SymbolTableSize(), ours.SymbolTableSize())
	names, err := theirs.LabelNames(context.Background())
	require.NoError(t, err)
	ourNames, err := ours.LabelNames(context.Background())
	require.NoError(t, err)
	require.Equal(t, names, ourNames)
	for _, name := range names {
		values, err := theirs.SortedLabelValues(context.Background(), name, nil)
		require.NoError(t, err)
		ourValues, err := ours.SortedLabelValues(context.Background(), name, nil)
		require.NoError(t, err)
		require.Equal(t, values, ourValues)
		for _, value := range values {
			a, err := theirs.Postings(context.Background(), name, value)
			require.NoError(t, err)
			want, err := tsdb.ExpandPostings(a)
			require.NoError(t, err)
			b, err := ours.Postings(context.Background(), name, value)
			require.NoError(t, err)
			got, err := tsdb.ExpandPostings(b)
			require.NoError(t, err)
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, entry(t, theirs, want[i]), entry(t, ours.Reader, got[i]))
			}
		}
	}
}

// entry is a series of an index: its labels and numbers.
func entry(t *testing.T, r *tsdb.Reader, ref storage.SeriesRef) string {
	t.Helper()
	var builder labels.ScratchBuilder
	var refs []chunks.Meta
	require.NoError(t, r.Series(ref, &builder, &refs))
	out := builder.Labels().String()
	for _, c := range refs {
		out += fmt.Sprint(" ", c.Ref)
	}
	return out
}

func TestOutOfOrder(t *testing.T) {
	_, err := index.Marshal([]index.Series{{Labels: labels.FromStrings("a", "2")}, {Labels: labels.FromStrings("a", "1")}})
	require.ErrorContains(t, err, "not behind")
}

// sign makes the checksums right that opening looks at: of the table of
// contents, and of the two tables that it tells of.
func sign(b []byte) {
	const toc = 6*8 + 4
	if len(b) < toc {
		return
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	end := b[len(b)-toc:]
	binary.BigEndian.PutUint32(end[toc-4:], crc32.Checksum(end[:toc-4], castagnoli))
	for _, entry := range []int{0, 5} { // symbols, postings
		at := binary.BigEndian.Uint64(end[8*entry:])
		if at > uint64(len(b)-4) {
			continue
		}
		n := uint64(binary.BigEndian.Uint32(b[at:]))
		if from := at + 4; from+n+4 <= uint64(len(b)) {
			binary.BigEndian.PutUint32(b[from+n:], crc32.Checksum(b[from:from+n], castagnoli))
		}
	}
}

// FuzzIndex opens damaged indices and asks them for series: an error at most.
func FuzzIndex(f *testing.F) {
	for _, n := range []int{0, 1, 5, 60} {
		b, err := index.Marshal(someSeries(n))
		require.NoError(f, err)
		f.Add(b)
	}
	matchers := [][]*labels.Matcher{
		nil,
		{labels.MustNewMatcher(labels.MatchEqual, "service_name", "service-3")},
		{labels.MustNewMatcher(labels.MatchRegexp, "pod", ".+1"), labels.MustNewMatcher(labels.MatchNotEqual, "service_name", "")},
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sign(b)
		r, err := index.Open(b)
		if err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), err)
			return
		}
		for _, ms := range matchers {
			err := r.Select(context.Background(), func(index.Series) error { return nil }, ms...)
			require.True(t, err == nil || fault.Is(err, fault.Corrupt), err)
		}
	})
}
