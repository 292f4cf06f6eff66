package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

func testCorpus(t *testing.T) *corpus {
	t.Helper()
	c, err := loadCorpus("../../internal/profile/pprof/testdata")
	require.NoError(t, err)
	return c
}

// A profile that is put together from a compressed part and a time must be one
// that anybody can read.
func TestProfilesCanBeRead(t *testing.T) {
	for kind, programs := range testCorpus(t).programs {
		for _, p := range programs {
			require.GreaterOrEqual(t, len(p.files), leastFiles)
			for _, f := range p.files {
				got, err := profile.ParseData(f.at(1_700_000_000_123_456_789))
				require.NoError(t, err)
				require.EqualValues(t, 1_700_000_000_123_456_789, got.TimeNanos)
				require.Len(t, got.Sample, f.samples)
				require.Equal(t, kind, kindOf(got))
			}
		}
	}
}

func TestPlanIsInOrderAndComplete(t *testing.T) {
	p := &plan{testCorpus(t), []string{kindCPU, kindHeap}, 6, 2, 1_700_000_040_000, time.Hour, time.Minute}
	seen, last, n := map[string]bool{}, int64(0), 0
	p.jobs(func(j job) bool {
		var key []string
		for _, l := range j.labels {
			key = append(key, l.Value)
		}
		seen[strings.Join(key, ",")] = true
		require.LessOrEqual(t, last/60_000, j.millis/60_000)
		require.Less(t, j.millis, p.end)
		require.GreaterOrEqual(t, j.millis, p.end-p.span.Milliseconds())
		last = j.millis
		n++
		return true
	})
	require.Equal(t, 6*60, n)
	require.Len(t, seen, 6)
}

func TestMetricIsSummedOverItsLabels(t *testing.T) {
	page := "# TYPE a_total counter\na_total{x=\"1\",y=\"b c}\"} 2\na_total{x=\"2\"} 1.5e+01\na_total_other 7\nb 3\n"
	a, err := sumOf(page, "a_total")
	require.NoError(t, err)
	require.EqualValues(t, 17, a)
	b, err := sumOf(page, "b")
	require.NoError(t, err)
	require.EqualValues(t, 3, b)
	_, err = sumOf(page, "c")
	require.Error(t, err)
}

func TestTopologiesByName(t *testing.T) {
	got, err := topologies("all,split")
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "all", got[0].name)
	_, err = topologies("all,none")
	require.ErrorContains(t, err, `"none"`)
}

// A server whose metric counts sample types stores a heap profile several
// times in its eyes; it is one copy still.
func TestCopiesAreOfProfiles(t *testing.T) {
	c := testCorpus(t)
	var got pushed
	for _, kind := range []string{kindCPU, kindHeap} {
		got.add(job{file: c.programs[kind][0].files[0]}, nil, 0)
	}
	require.EqualValues(t, 2, got.weight(hearth("")))
	require.EqualValues(t, 6, got.weight(pyroscopeV1("")))
}

func TestTableHasRatios(t *testing.T) {
	rep := &report{Results: []*result{{Subject: "one"}, {Subject: "two"}}}
	rep.Results[0].add("a", "ms", 2)
	rep.Results[1].add("a", "ms", 3000)
	rep.Results[1].add("b", "", 0.1234)
	var out bytes.Buffer
	require.NoError(t, rep.print(&out))
	require.Equal(t, "\nfigure  one    two  ratio\na (ms)    2   3000   1500\nb         -  0.123      -\n", out.String())
}
