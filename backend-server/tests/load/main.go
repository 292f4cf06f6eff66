// Command load replays pprof files against a server that speaks the Pyroscope
// API and prints what that costs the server: CPU time of its process, memory,
// and latencies.
//
//	load -url http://localhost:4040 -pid PID [-dir FILES] [-series 20] [-span 6h]
//
// Every series takes its next file each interval, with the time rewritten, so
// the same flags push the same profiles. CPU time is read from /proc, so the
// server has to run on the same machine; a busy machine makes all figures
// worse, which is why two servers are compared in one run, on one machine.
//
// The stages: push; query (what is in memory); flush; query again (what is on
// the disk). With -json the figures can be read by another program.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are the command's flags.
type options struct {
	url, dir  string
	pid       int
	series    int
	services  int
	workers   int
	span      time.Duration
	interval  time.Duration
	flushPath string
	flushJSON bool
	minTime   time.Duration
	asJSON    bool
	end       int64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	fl := flag.NewFlagSet("load", flag.ContinueOnError)
	fl.StringVar(&o.url, "url", "http://localhost:4040", "base URL of the server")
	fl.IntVar(&o.pid, "pid", 0, "the server's process")
	fl.StringVar(&o.dir, "dir", "backend-server/internal/profile/pprof/testdata", "folder of pprof files, searched to the bottom")
	fl.IntVar(&o.series, "series", 20, "number of series")
	fl.IntVar(&o.services, "services", 5, "number of services they are spread over")
	fl.IntVar(&o.workers, "workers", 4, "concurrent pushes")
	fl.DurationVar(&o.span, "span", time.Hour, "time that the profiles span")
	fl.DurationVar(&o.interval, "interval", 15*time.Second, "time between two profiles of a series")
	fl.StringVar(&o.flushPath, "flush", "/ingester/flush", "path that is posted to between the two rounds of queries")
	fl.BoolVar(&o.flushJSON, "flush-rpc", false, "the flush path is a connect RPC without arguments")
	fl.DurationVar(&o.minTime, "min-time", time.Second, "least time spent on each query: the CPU clock ticks every 10 ms")
	fl.Int64Var(&o.end, "end", 0, "end of the span in milliseconds since the epoch; 0 for now")
	fl.BoolVar(&o.asJSON, "json", false, "print JSON")
	if err := fl.Parse(args); err != nil {
		return err
	}
	if o.end == 0 {
		o.end = time.Now().UnixMilli()
	}
	o.end -= o.end % o.interval.Milliseconds()
	report, err := measure(ctx, &o)
	if err != nil {
		return err
	}
	if o.asJSON {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	report.print(os.Stdout)
	return nil
}

// report is what was measured.
type report struct {
	Profiles      int     `json:"profiles"`
	Refused       int     `json:"refused"`
	SentBytes     int64   `json:"sent_bytes"`
	PushCPUMillis float64 `json:"push_cpu_ms_per_profile"`
	PushMedian    float64 `json:"push_median_ms"`
	PushP99       float64 `json:"push_p99_ms"`
	MaxRSS        int64   `json:"max_rss_bytes"`
	FlushCPU      float64 `json:"flush_cpu_ms_per_profile"`
	Queries       []timed `json:"queries"`
}

// timed is one kind of query, before and after the flush.
type timed struct {
	Name                 string  `json:"name"`
	MemoryCPU, MemoryMed float64 // milliseconds
	DiskCPU, DiskMed     float64
}

func (r *report) print(w *os.File) {
	fmt.Fprintf(w, "pushed %d profiles (%d refused), %.1f KiB each as sent\n", r.Profiles, r.Refused, float64(r.SentBytes)/float64(max(r.Profiles, 1))/1024)
	fmt.Fprintf(w, "push: %.3f ms CPU a profile, median %.1f ms, 99th percentile %.1f ms; peak memory %.1f MiB\n", r.PushCPUMillis, r.PushMedian, r.PushP99, float64(r.MaxRSS)/(1<<20))
	fmt.Fprintf(w, "flush: %.3f ms CPU a profile\n", r.FlushCPU)
	fmt.Fprintf(w, "%-36s %14s %14s %14s %14s\n", "query", "memory CPU ms", "median ms", "disk CPU ms", "median ms")
	for _, q := range r.Queries {
		fmt.Fprintf(w, "%-36s %14.2f %14.2f %14.2f %14.2f\n", q.Name, q.MemoryCPU, q.MemoryMed, q.DiskCPU, q.DiskMed)
	}
}

func measure(ctx context.Context, o *options) (*report, error) {
	files, err := loadFiles(o.dir)
	if err != nil {
		return nil, err
	}
	r := new(report)
	if err := push(ctx, o, files, r); err != nil {
		return nil, err
	}
	queries := mix(o)
	for _, q := range queries {
		cpu, med, err := repeat(ctx, o, q)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		r.Queries = append(r.Queries, timed{Name: q.name, MemoryCPU: cpu, MemoryMed: med})
	}
	before := cpuTime(o.pid)
	if err := flush(ctx, o); err != nil {
		return nil, err
	}
	r.FlushCPU = millis(cpuTime(o.pid)-before) / float64(max(r.Profiles, 1))
	for i, q := range queries {
		if r.Queries[i].DiskCPU, r.Queries[i].DiskMed, err = repeat(ctx, o, q); err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
	}
	r.MaxRSS = maxRSS(o.pid)
	return r, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
