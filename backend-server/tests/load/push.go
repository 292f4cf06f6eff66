package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
)

// plan says which profiles to push.
type plan struct {
	corpus   *corpus
	kinds    []string // dealt to the series in turn
	series   int
	services int
	end      int64 // milliseconds since the epoch
	span     time.Duration
	interval time.Duration
}

// job is one profile of one series.
type job struct {
	labels []*typesv1.LabelPair
	file   *file
	millis int64
}

func service(i int) string { return fmt.Sprintf("load-%03d", i) }
func pod(i int) string     { return fmt.Sprintf("pod-%04d", i) }

// jobs calls fn for what to push, in order of time, until fn returns false. A
// service runs one program of each kind.
func (p *plan) jobs(fn func(job) bool) {
	step := p.interval.Milliseconds()
	start := p.end - p.span.Milliseconds()
	for tick := range p.span.Milliseconds() / step {
		for s := range p.series {
			kind, instance := p.kinds[s%len(p.kinds)], s/len(p.kinds)
			svc := instance % p.services
			programs := p.corpus.programs[kind]
			files := programs[svc%len(programs)].files
			pairs := []*typesv1.LabelPair{
				{Name: "__name__", Value: kind},
				{Name: "service_name", Value: service(svc)},
				{Name: "pod", Value: pod(instance)},
			}
			if kind == kindHeap { // the values are no counters
				pairs = append(pairs, &typesv1.LabelPair{Name: "__delta__", Value: "false"})
			}
			at := start + tick*step + 1 + int64(s)*37%step
			if !fn(job{pairs, files[(int(tick)+7*instance)%len(files)], at}) {
				return
			}
		}
	}
}

// pushed is what a push of a plan came to.
type pushed struct {
	profiles, samples int
	types             int // sample types of all profiles
	bytes             int64
	cpu               time.Duration
	mallocs           float64
	times             []time.Duration
}

func (r *pushed) add(j job, body []byte, took time.Duration) {
	r.profiles++
	r.samples += j.file.samples
	r.types += j.file.types
	r.bytes += int64(len(body))
	r.times = append(r.times, took)
}

// push pushes a plan. No profile may be refused: the figures would not be of
// the same work.
func push(ctx context.Context, f *fleet, p *plan) (*pushed, error) {
	var (
		r     pushed
		mu    sync.Mutex
		wg    sync.WaitGroup
		fatal error
		todo  = make(chan job)
		rpcs  = f.pushers()
		next  atomic.Int64 // deals the pushes to the entries in turn
	)
	mallocs, err := f.mallocs(ctx)
	if err != nil {
		return nil, err
	}
	cpu := f.cpu()
	for range f.subject.workers {
		wg.Go(func() {
			for j := range todo {
				body := j.file.at(j.millis * int64(time.Millisecond))
				began := time.Now()
				err := send(ctx, rpcs[int(next.Add(1))%len(rpcs)], j, body)
				took := time.Since(began)
				mu.Lock()
				if r.add(j, body, took); err != nil {
					fatal = errors.Join(fatal, fmt.Errorf("push: %w", err))
				}
				mu.Unlock()
			}
		})
	}
	p.jobs(func(j job) bool {
		mu.Lock()
		failed := fatal != nil
		mu.Unlock()
		if failed || ctx.Err() != nil {
			return false
		}
		todo <- j
		return true
	})
	close(todo)
	wg.Wait()
	r.cpu = f.cpu() - cpu
	if err := errors.Join(fatal, ctx.Err()); err != nil {
		return nil, err
	}
	after, err := f.mallocs(ctx)
	r.mallocs = after - mallocs
	slices.Sort(r.times)
	return &r, err
}

func send(ctx context.Context, c pushv1connect.PusherServiceClient, j job, body []byte) error {
	_, err := c.Push(ctx, connect.NewRequest(&pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
		Labels: j.labels, Samples: []*pushv1.RawSample{{RawProfile: body}},
	}}}))
	return err
}
