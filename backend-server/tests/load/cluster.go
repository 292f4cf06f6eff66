package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// topology is a set of processes that profiles are pushed to.
type topology struct {
	name    string
	about   string
	targets []string // a process each
	copies  int      // of each profile
}

// topologies returns those whose names are listed.
func topologies(names string) (out []topology, err error) {
	known := []topology{
		{"one", "one process that does everything and keeps one copy", []string{"all"}, 1},
		{"split", "a distributor and three ingesters, three copies", []string{"distributor", "ingester", "ingester", "ingester"}, 3},
		{"all", "three processes that do everything, three copies", []string{"all", "all", "all"}, 3},
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(known, func(t topology) bool { return t.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-topologies: %q is not allowed; want one, split and all, separated by commas", name)
		}
		out = append(out, known[i])
	}
	return out, nil
}

// seat is what a process of a cluster has for itself, and whom it asks for the
// others.
type seat struct {
	ports
	name, target, addr string
	dir                string // its own
	bucket             string // that of all
	seed               string // host and port of the first one's gossip
	copies             int
}

// clusterStages are a run for each topology.
func clusterStages(o *options) []stage {
	var out []stage
	for _, t := range o.topologies {
		out = append(out, stage{t.name, func(ctx context.Context, o *options, sub *subject, dir string, c *corpus, r *result) error {
			return t.run(ctx, o, sub, dir, &plan{c, []string{kindCPU, kindHeap}, o.series, o.services, o.end, shortSpan(o), shortInterval}, r)
		}})
	}
	return out
}

// run pushes and flushes, and notes what that costs all processes together.
func (t topology) run(ctx context.Context, o *options, sub *subject, dir string, p *plan, r *result) error {
	f, err := t.start(ctx, sub, dir)
	if err != nil {
		return err
	}
	defer f.kill()
	if err := t.waitCopies(ctx, f, p); err != nil {
		return err
	}
	if err := f.measureIdle(ctx, o.idleTime); err != nil {
		return err
	}
	r.add(t.name+": idle, CPU a second", "ms", f.idle*1000)

	copies, err := f.copies(ctx)
	if err != nil {
		return err
	}
	var got *pushed
	whole, net, err := f.cost(ctx, o, false, func() (err error) {
		got, err = push(ctx, f, p)
		return err
	})
	if err != nil {
		return err
	}
	after, err := f.copies(ctx)
	if err != nil {
		return err
	}
	if copies = (after - copies) / got.weight(sub); copies < float64(t.copies)-0.005 || copies > float64(t.copies)+0.005 {
		return fmt.Errorf("%.3f copies of a profile were stored; want %d", copies, t.copies)
	}
	n := float64(got.profiles)
	r.note("%s: %s; %d pushed, %.1f KiB each as sent, %d at a time", t.name, t.about, got.profiles, float64(got.bytes)/n/1024, sub.workers)
	r.add(t.name+": copies of a profile", "", copies)
	r.add(t.name+": push, CPU", "ms", millis(net)/n)
	r.add(t.name+": push, CPU with that of idle processes", "ms", millis(whole)/n)
	r.add(t.name+": push, allocations", "", got.mallocs/n)
	r.add(t.name+": push, median", "ms", percentile(got.times, 50))
	r.add(t.name+": push, 99th percentile", "ms", percentile(got.times, 99))
	r.add(t.name+": peak memory after the push", "MiB", float64(f.maxRSS())/(1<<20))
	return t.flush(ctx, o, f, n, r)
}

func (t topology) flush(ctx context.Context, o *options, f *fleet, n float64, r *result) error {
	_, net, err := f.cost(ctx, o, true, func() error { return f.flush(ctx) })
	if err != nil {
		return err
	}
	stored, err := f.stored()
	if err != nil {
		return err
	}
	if stored == 0 {
		return errors.New("no blocks after the flush")
	}
	r.add(t.name+": flush, CPU a profile", "ms", millis(net)/n)
	r.add(t.name+": blocks of all, a profile", "B", float64(stored)/n)
	r.add(t.name+": peak memory with flush", "MiB", float64(f.maxRSS())/(1<<20))
	return nil
}

// start starts the processes, each on an address of its own, and waits until
// all are ready.
func (t topology) start(ctx context.Context, sub *subject, dir string) (*fleet, error) {
	if len(t.targets) == 1 {
		s, err := start(ctx, sub, dir)
		if err != nil {
			return nil, err
		}
		return alone(s), nil
	}
	f, seed := &fleet{subject: sub}, ""
	for i, target := range t.targets {
		s, err := t.seat(i, dir)
		if err != nil {
			f.kill()
			return nil, err
		}
		if i == 0 {
			seed = fmt.Sprintf("%s:%d", s.addr, s.gossip)
		}
		s.seed = seed
		p := &server{subject: sub, dir: s.dir, argv: sub.member(s), url: s.url(s.addr)}
		if err := p.launch(); err != nil {
			f.kill()
			return nil, err
		}
		f.all = append(f.all, p)
		if target != "ingester" {
			f.entries = append(f.entries, p)
		}
		if target != "distributor" {
			f.stores = append(f.stores, p)
		}
	}
	for _, p := range f.all { // all at once: some wait for others
		if err := p.waitReady(ctx, time.Now().Add(startTimeout)); err != nil {
			f.kill()
			return nil, err
		}
	}
	return f, nil
}

// seat makes room for a process of a cluster with its data below dir.
func (t topology) seat(i int, dir string) (*seat, error) {
	s := &seat{
		name: fmt.Sprintf("%s-%d", t.targets[i], i), target: t.targets[i], addr: fmt.Sprintf("127.0.10.%d", i+1),
		bucket: filepath.Join(dir, "bucket"), copies: t.copies,
	}
	s.dir = filepath.Join(dir, s.name)
	var err error
	if s.ports, err = freePorts(s.addr); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	return s, nil
}

// waitCopies pushes until a profile that each entry is sent is stored as often
// as it should be: only then do all processes know each other.
func (t topology) waitCopies(ctx context.Context, f *fleet, p *plan) error {
	deadline := time.Now().Add(startTimeout)
	for i := int64(1); ; i++ {
		before, err := f.copies(ctx)
		if err != nil {
			return err
		}
		var got pushed
		p.jobs(func(j job) bool {
			for n, rpc := range f.pushers() { // at a time that the plan does not have
				at := p.end - p.span.Milliseconds() - i*time.Second.Milliseconds() - int64(n)
				body := j.file.at(at * int64(time.Millisecond))
				got.add(j, body, 0)
				err = errors.Join(err, send(ctx, rpc, j, body))
			}
			return false
		})
		if waited := f.wait(ctx, time.Second); waited != nil {
			return waited
		}
		after, failed := f.copies(ctx)
		if failed != nil {
			return failed
		}
		stored := (after - before) / got.weight(f.subject)
		if err == nil && stored == float64(t.copies) {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("after %s a profile is stored %.2f times; want %d", startTimeout, stored, t.copies), err)
		}
	}
}

// weight is what the subject's metric of copies counts for what was pushed, if
// it is stored once.
func (r *pushed) weight(s *subject) float64 {
	if s.copiesByType {
		return float64(r.types)
	}
	return float64(r.profiles)
}

// measureIdle takes note of the CPU time of processes that are asked nothing.
func (f *fleet) measureIdle(ctx context.Context, d time.Duration) error {
	before, began := f.cpu(), time.Now()
	if err := f.wait(ctx, d); err != nil {
		return err
	}
	f.idle = (f.cpu() - before).Seconds() / time.Since(began).Seconds()
	return nil
}

// cost returns the CPU time that work takes, until all processes have nothing
// more to do, and that less what they would have taken without it.
func (f *fleet) cost(ctx context.Context, o *options, flushes bool, work func() error) (whole, net time.Duration, err error) {
	before, began := f.cpu(), time.Now()
	if err := work(); err != nil {
		return 0, 0, err
	}
	if err := f.settle(ctx, o, flushes); err != nil {
		return 0, 0, err
	}
	whole = f.cpu() - before
	return whole, whole - time.Duration(f.idle*float64(time.Since(began))), nil
}
