package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// file is a profile to replay.
type file struct {
	raw  []byte // decompressed, without a time
	name string // the series' __name__
}

const fieldTimeNanos = 9 // of perftools.profiles.Profile

// loadFiles reads the CPU and heap profiles below dir.
func loadFiles(dir string) (map[string][]file, error) {
	out := map[string][]file{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".pb") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p, err := profile.ParseData(b)
		if err != nil || len(p.Sample) == 0 {
			return nil // not a profile that anybody takes
		}
		p.TimeNanos = 0
		var buf bytes.Buffer
		if err := p.WriteUncompressed(&buf); err != nil {
			return err
		}
		if name := metricName(p); name != "" {
			out[name] = append(out[name], file{buf.Bytes(), name})
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("no CPU or heap profiles below %s", dir)
	}
	return out, err
}

func metricName(p *profile.Profile) string {
	for _, t := range p.SampleType {
		switch t.Type {
		case "cpu":
			return "process_cpu"
		case "inuse_space", "alloc_space":
			return "memory"
		}
	}
	return ""
}

// job is one profile of one series.
type job struct {
	labels []*typesv1.LabelPair
	file   file
	millis int64
}

func service(i int) string { return fmt.Sprintf("load-%03d", i) }

// jobs lists what to push, in order of time.
func jobs(o *options, files map[string][]file) []job {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []job
	start := o.end - o.span.Milliseconds()
	for tick := range o.span.Milliseconds() / o.interval.Milliseconds() {
		for s := range o.series {
			pool := files[names[s%len(names)]]
			f := pool[(int(tick)+s)%len(pool)]
			pod := s / len(names)
			pairs := []*typesv1.LabelPair{
				{Name: "__name__", Value: f.name},
				{Name: "service_name", Value: service(pod % o.services)},
				{Name: "pod", Value: fmt.Sprintf("pod-%04d", pod)},
			}
			if f.name == "memory" {
				pairs = append(pairs, &typesv1.LabelPair{Name: "__delta__", Value: "false"})
			}
			out = append(out, job{pairs, f, start + tick*o.interval.Milliseconds() + 1 + int64(s)*37%o.interval.Milliseconds()})
		}
	}
	return out
}

func push(ctx context.Context, o *options, files map[string][]file, r *report) error {
	client := pushv1connect.NewPusherServiceClient(http.DefaultClient, o.url)
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		times []time.Duration
		fatal error
		todo  = make(chan job)
	)
	before := cpuTime(o.pid)
	for range o.workers {
		wg.Go(func() {
			for j := range todo {
				body := compressed(j)
				began := time.Now()
				err := send(ctx, client, j, body)
				took := time.Since(began)
				mu.Lock()
				times = append(times, took)
				switch {
				case err == nil:
					r.Profiles++
					r.SentBytes += int64(len(body))
				case connect.CodeOf(err) == connect.CodeInvalidArgument:
					r.Refused++
				default:
					fatal = errors.Join(fatal, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, j := range jobs(o, files) {
		mu.Lock()
		failed := fatal != nil
		mu.Unlock()
		if failed || ctx.Err() != nil {
			break
		}
		todo <- j
	}
	close(todo)
	wg.Wait()
	r.PushCPUMillis = millis(cpuTime(o.pid)-before) / float64(max(r.Profiles, 1))
	r.PushMedian, r.PushP99 = percentile(times, 50), percentile(times, 99)
	return errors.Join(fatal, ctx.Err())
}

// compressed returns the profile with its time, as Go's profiler would send it.
func compressed(j job) []byte {
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	raw := protowire.AppendTag(slices.Clone(j.file.raw), fieldTimeNanos, protowire.VarintType)
	raw = protowire.AppendVarint(raw, uint64(j.millis*int64(time.Millisecond)))
	w.Write(raw) // a bytes.Buffer takes everything
	w.Close()
	return buf.Bytes()
}

func send(ctx context.Context, c pushv1connect.PusherServiceClient, j job, body []byte) error {
	_, err := c.Push(ctx, connect.NewRequest(&pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
		Labels: j.labels, Samples: []*pushv1.RawSample{{RawProfile: body}},
	}}}))
	return err
}

func flush(ctx context.Context, o *options) error {
	var body io.Reader
	if o.flushJSON {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url+o.flushPath, body)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if o.flushJSON {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("flush: %s", res.Status)
	}
	return nil
}
