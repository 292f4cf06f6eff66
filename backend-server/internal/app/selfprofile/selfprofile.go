// Package selfprofile makes profiles of this process and hands them to the
// write path, so that there is something to look at from the first minute, and
// so that the server can be asked about itself with its own means.
//
// Nothing goes over the network: profiles are pushed like any other, but in
// process. Only one CPU profile can run in a process, so this package steps
// back for who wants one (CPU), and leaves a round out when somebody else's is
// running.
//
// The runtime's heap, mutex and block profiles count since the process began.
// What is pushed are the differences between rounds, marked as such by the
// label __delta__="false": nothing further is to be subtracted.
package selfprofile

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	nethttp "net/http"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grafana/dskit/services"
	"github.com/grafana/pyroscope-go/godeltaprof"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const (
	round      = 15 * time.Second // from one push to the next
	firstRound = 5 * time.Second  // so that there is something to see early
	minCPU     = time.Second      // a CPU profile that was cut shorter is dropped
	mutexEvery = 10               // one in so many contentions is recorded
	blockEvery = 100_000          // one blocking event in so many nanoseconds
)

// Profile is one profile of this process.
type Profile struct {
	Labels []profile.LabelPair
	Raw    []byte // pprof, gzip
}

// Profiler is the service that makes profiles while it runs.
type Profiler struct {
	services.Service
	push    func(context.Context, []Profile) error
	labels  []profile.LabelPair
	logger  *slog.Logger
	sources []source

	cpu    sync.Mutex    // held while a CPU profile runs
	wanted atomic.Int32  // who else wants one, or has it; ours does not begin then
	yield  chan struct{} // ends our CPU profile early
}

// source writes one kind of profile.
type source struct {
	name  string // the first part of the profile type
	write func(io.Writer) error
}

// New returns a profiler that is not started. The labels are put on every
// profile.
func New(labels []profile.LabelPair, push func(context.Context, []Profile) error, logger *slog.Logger) *Profiler {
	p := &Profiler{push: push, labels: labels, logger: logger, yield: make(chan struct{})}
	p.sources = []source{
		{"memory", godeltaprof.NewHeapProfiler().Profile},
		{"mutex", godeltaprof.NewMutexProfiler().Profile},
		{"block", godeltaprof.NewBlockProfiler().Profile},
		{"goroutine", func(w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 0) }},
	}
	p.Service = services.NewBasicService(nil, p.run, nil).WithName("self-profiling")
	return p
}

func (p *Profiler) run(ctx context.Context) error {
	mutexBefore := runtime.SetMutexProfileFraction(mutexEvery)
	runtime.SetBlockProfileRate(blockEvery)
	defer runtime.SetMutexProfileFraction(mutexBefore)
	defer runtime.SetBlockProfileRate(0)
	var cpu []Profile // of the round before
	for wait := firstRound; ctx.Err() == nil; wait = round {
		// What follows is itself work for the CPU profile to see; in an idle
		// process there is hardly any other.
		finish := p.beginCPU(wait)
		if err := p.push(ctx, append(cpu, p.others()...)); err != nil && ctx.Err() == nil {
			p.logger.Warn("own profiles not stored", "err", err)
		}
		cpu = finish(ctx)
	}
	return nil
}

// others makes the profiles that take no time.
func (p *Profiler) others() []Profile {
	var out []Profile
	for _, s := range p.sources {
		var raw bytes.Buffer
		if err := s.write(&raw); err != nil {
			p.logger.Warn("own profile failed", "profile", s.name, "err", err)
			continue
		}
		out = append(out, p.profile(s.name, raw.Bytes()))
	}
	return out
}

func (p *Profiler) profile(name string, raw []byte) Profile {
	labels := append([]profile.LabelPair{{Name: profile.LabelName, Value: name}}, p.labels...)
	if name != "process_cpu" && name != "goroutine" {
		labels = append(labels, profile.LabelPair{Name: profile.LabelDelta, Value: "false"})
	}
	return Profile{labels, raw}
}

// beginCPU begins a CPU profile. The function it returns waits until the time
// is over, or somebody else wants one (CPU), and returns the profile; nothing
// if it was cut short or could not begin.
func (p *Profiler) beginCPU(length time.Duration) func(context.Context) []Profile {
	over := time.NewTimer(length)
	idle := func(ctx context.Context) []Profile {
		defer over.Stop()
		select {
		case <-ctx.Done():
		case <-over.C:
		}
		return nil
	}
	if p.wanted.Load() > 0 || !p.cpu.TryLock() {
		return idle
	}
	raw, begin := new(bytes.Buffer), time.Now()
	if err := pprof.StartCPUProfile(raw); err != nil {
		p.cpu.Unlock()
		return idle
	}
	return func(ctx context.Context) []Profile {
		defer p.cpu.Unlock()
		defer over.Stop()
		select {
		case <-ctx.Done():
		case <-p.yield:
		case <-over.C:
		}
		pprof.StopCPUProfile()
		if time.Since(begin) < minCPU {
			return nil
		}
		return []Profile{p.profile("process_cpu", raw.Bytes())}
	}
}

// CPU wraps a handler that runs a CPU profile of its own: ours is ended first
// and no new one begins meanwhile.
func (p *Profiler) CPU(next nethttp.Handler) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		p.wanted.Add(1)
		defer p.wanted.Add(-1)
		for !p.cpu.TryLock() {
			select {
			case p.yield <- struct{}{}:
			case <-time.After(10 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		defer p.cpu.Unlock()
		next.ServeHTTP(w, r)
	})
}
