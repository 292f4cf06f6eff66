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
	"github.com/grafana/dskit/services"
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

func TestCPUProfileGivesWay(t *testing.T) {
	p := newProfiler()
	finish := p.beginCPU(time.Hour)
	done := make(chan []Profile)
	go func() { done <- finish(t.Context()) }()
	time.Sleep(minCPU + 50*time.Millisecond)
	var theirs bytes.Buffer
	p.CPU(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {
		require.NoError(t, pprof.StartCPUProfile(&theirs), "ours has ended")
		pprof.StopCPUProfile()
		require.Nil(t, p.beginCPU(time.Millisecond)(t.Context()), "and no new one begins")
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/debug/pprof/profile", nil))
	check(t, <-done, map[string]string{"process_cpu": ""})
}

func TestOthers(t *testing.T) {
	check(t, newProfiler().others(), map[string]string{"memory": "false", "mutex": "false", "block": "false", "goroutine": ""})
}

// check compares names and the label __delta__.
func check(t *testing.T, profiles []Profile, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, one := range profiles {
		got[label(one, profile.LabelName)] = label(one, profile.LabelDelta)
		require.Equal(t, "hearth", label(one, "service_name"))
		_, err := googlepprof.Parse(bytes.NewReader(one.Raw))
		require.NoError(t, err)
	}
	require.Equal(t, want, got)
}

func TestRoundIsLeftOutWhenTheProfilerIsTaken(t *testing.T) {
	require.NoError(t, pprof.StartCPUProfile(&bytes.Buffer{}))
	defer pprof.StopCPUProfile()
	require.Nil(t, newProfiler().beginCPU(time.Millisecond)(t.Context()))
}

func TestRunPushesAtOnce(t *testing.T) {
	pushed := make(chan []Profile, 10)
	p := New(base, func(_ context.Context, own []Profile) error { pushed <- own; return nil }, slog.New(slog.DiscardHandler))
	require.NoError(t, services.StartAndAwaitRunning(t.Context(), p))
	require.Len(t, <-pushed, 4)
	require.NoError(t, services.StopAndAwaitTerminated(context.Background(), p))
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
