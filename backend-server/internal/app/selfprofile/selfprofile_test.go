package selfprofile

import (
	"bytes"
	"context"
	"log/slog"
	nethttp "net/http"
	"net/http/httptest"
	"runtime/pprof"
	"testing"
	"time"

	googlepprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

var base = []profile.LabelPair{{Name: "service_name", Value: "hearth"}}

func newProfiler() *Profiler {
	return New(base, func(context.Context, []Profile) error { return nil }, slog.New(slog.DiscardHandler))
}

func label(p Profile, name string) string {
	for _, l := range p.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// TestCollect ends the CPU profile through CPU, as a request for one would.
func TestCollect(t *testing.T) {
	p := newProfiler()
	done := make(chan []Profile)
	go func() { done <- p.collect(t.Context()) }()
	time.Sleep(minCPU + 50*time.Millisecond)
	var theirs bytes.Buffer
	p.CPU(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {
		require.NoError(t, pprof.StartCPUProfile(&theirs), "ours has ended")
		pprof.StopCPUProfile()
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/debug/pprof/profile", nil))

	want := map[string]string{"process_cpu": "", "memory": "false", "mutex": "false", "block": "false", "goroutine": ""}
	got := map[string]string{}
	for _, one := range <-done {
		got[label(one, profile.LabelName)] = label(one, profile.LabelDelta)
		require.Equal(t, "hearth", label(one, "service_name"))
		_, err := googlepprof.Parse(bytes.NewReader(one.Raw))
		require.NoError(t, err)
	}
	require.Equal(t, want, got)
}

func TestRoundIsLeftOutWhenTheProfilerIsTaken(t *testing.T) {
	p := newProfiler()
	require.NoError(t, pprof.StartCPUProfile(&bytes.Buffer{}))
	defer pprof.StopCPUProfile()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.Nil(t, p.cpuProfile(ctx))
}

func TestAllocationsAreDifferences(t *testing.T) {
	p := newProfiler()
	var first, second bytes.Buffer
	require.NoError(t, p.sources[0].write(&first))
	require.NoError(t, p.sources[0].write(&second))
	require.Greater(t, allocated(t, &first), allocated(t, &second))
}

func allocated(t *testing.T, b *bytes.Buffer) (sum int64) {
	t.Helper()
	prof, err := googlepprof.Parse(b)
	require.NoError(t, err)
	require.Equal(t, "alloc_space", prof.SampleType[1].Type)
	for _, s := range prof.Sample {
		sum += s.Value[1]
	}
	return sum
}
