package main

import (
	"context"
	"fmt"
	"time"
)

const (
	shortInterval = 15 * time.Second
	longInterval  = time.Minute
)

func shortSpan(o *options) time.Duration {
	if o.quick {
		return 15 * time.Minute
	}
	return time.Hour
}

// stage is one run on a server that has just been started.
type stage struct {
	name string
	run  func(ctx context.Context, o *options, sub *subject, dir string, c *corpus, r *result) error
}

func stages(o *options) []stage {
	if o.cluster {
		return clusterStages(o)
	}
	return []stage{
		{"cpu", func(ctx context.Context, o *options, sub *subject, dir string, c *corpus, r *result) error {
			return short(ctx, o, sub, dir, &plan{c, []string{kindCPU}, o.series, o.services, o.end, shortSpan(o), shortInterval}, "CPU profiles", r)
		}},
		{"heap", func(ctx context.Context, o *options, sub *subject, dir string, c *corpus, r *result) error {
			return short(ctx, o, sub, dir, &plan{c, []string{kindHeap}, o.series, o.services, o.end, shortSpan(o), shortInterval}, "heap profiles", r)
		}},
		{"long", func(ctx context.Context, o *options, sub *subject, dir string, c *corpus, r *result) error {
			return long(ctx, o, sub, dir, &plan{c, []string{kindCPU, kindHeap}, o.series, o.services, o.end, o.span, longInterval}, r)
		}},
	}
}

// short pushes profiles of one kind and flushes: what a profile costs.
func short(ctx context.Context, o *options, sub *subject, dir string, p *plan, about string, r *result) error {
	s, err := start(ctx, sub, dir)
	if err != nil {
		return err
	}
	defer s.kill()
	empty, err := s.liveHeap(ctx)
	if err != nil {
		return err
	}
	got, err := pushAndNote(ctx, s, p, about, r)
	if err != nil {
		return err
	}
	if sub.inMemory {
		full, err := s.liveHeap(ctx)
		if err != nil {
			return err
		}
		r.add(about+": head, a profile", "B", (full-empty)/float64(got.profiles))
		r.add(about+": head, a sample", "B", (full-empty)/float64(got.samples))
	}
	return flushAndNote(ctx, o, s, got, about, r)
}

func pushAndNote(ctx context.Context, s *server, p *plan, about string, r *result) (*pushed, error) {
	got, err := push(ctx, alone(s), p)
	if err != nil {
		return nil, err
	}
	n := float64(got.profiles)
	r.note("%s: %d pushed, %.1f KiB each as sent, %d at a time", about, got.profiles, float64(got.bytes)/n/1024, s.subject.workers)
	r.add(about+": push, CPU", "ms", millis(got.cpu)/n)
	r.add(about+": push, allocations", "", got.mallocs/n)
	r.add(about+": push, median", "ms", percentile(got.times, 50))
	r.add(about+": push, 99th percentile", "ms", percentile(got.times, 99))
	r.add(about+": peak memory after the push", "MiB", float64(maxRSS(s.pid()))/(1<<20))
	return got, nil
}

func flushAndNote(ctx context.Context, o *options, s *server, got *pushed, about string, r *result) error {
	before := cpuTime(s.pid())
	if err := s.subject.flush(ctx, s); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := alone(s).settle(ctx, o, true); err != nil {
		return err
	}
	n := float64(got.profiles)
	what := ": flush, CPU a profile"
	if !s.subject.inMemory { // it has flushed while profiles came in
		what = ": work left after the push, CPU a profile"
	}
	r.add(about+what, "ms", millis(cpuTime(s.pid())-before)/n)
	stored, err := s.subject.stored(s.dir)
	if err != nil {
		return err
	}
	if stored == 0 {
		return fmt.Errorf("no blocks below %s", s.dir)
	}
	r.add(about+": block, a profile", "B", float64(stored)/n)
	return nil
}

// long pushes hours, asks from memory and from the disk, and kills the server
// in between.
func long(ctx context.Context, o *options, sub *subject, dir string, p *plan, r *result) error {
	const about = "long run"
	s, err := start(ctx, sub, dir)
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	got, err := pushAndNote(ctx, s, p, about, r)
	if err != nil {
		return err
	}
	if sub.inMemory {
		if err := ask(ctx, o, s, p, "memory", r); err != nil {
			return err
		}
	}
	if sub.recovers {
		if err := recovery(ctx, s, p, got, r); err != nil {
			return err
		}
	}
	if err := flushAndNote(ctx, o, s, got, about, r); err != nil {
		return err
	}
	if err := ask(ctx, o, s, p, "disk", r); err != nil {
		return err
	}
	r.add(about+": peak memory", "MiB", float64(maxRSS(s.pid()))/(1<<20))
	return nil
}

// recoveries is how often a start is timed: the quickest counts.
const recoveries = 3

// recovery kills the server, starts it again and notes what that took more
// than a start with nothing to recover, for each 100,000 profiles.
func recovery(ctx context.Context, s *server, p *plan, got *pushed, r *result) error {
	const per = 100_000
	before, err := total(ctx, s, p)
	if err != nil {
		return err
	}
	empty, err := start(ctx, s.subject, s.dir+"-empty")
	if err != nil {
		return err
	}
	defer func() { empty.kill() }()
	emptyTime, emptyCPU, err := restarts(ctx, empty)
	if err != nil {
		return err
	}
	fullTime, fullCPU, err := restarts(ctx, s)
	if err != nil {
		return err
	}
	after, err := total(ctx, s, p)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("killed with profiles that add up to %d, and back with %d", before, after)
	}
	scale := per / float64(got.profiles)
	r.add("recovery of 100,000 profiles: time until ready", "ms", scale*millis(fullTime-emptyTime))
	r.add("recovery of 100,000 profiles: CPU", "ms", scale*millis(fullCPU-emptyCPU))
	return nil
}

// restarts kills and starts the server some times and returns the least time
// and CPU time until it was ready.
func restarts(ctx context.Context, s *server) (took, cpu time.Duration, err error) {
	for i := range recoveries {
		s.kill()
		if err := s.start(ctx); err != nil {
			return 0, 0, err
		}
		if i == 0 {
			took, cpu = s.readyAfter, s.readyCPU
		}
		took, cpu = min(took, s.readyAfter), min(cpu, s.readyCPU)
	}
	return took, cpu, nil
}
