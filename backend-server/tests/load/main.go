package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the command's flags.
type options struct {
	profiles string
	binary   string
	peer     string
	modes    string
	cluster  bool
	shapes   string
	workers  int
	series   int
	services int
	span     time.Duration
	quick    bool
	asJSON   bool
	keep     bool

	end        int64         // of all spans, in milliseconds since the epoch
	topologies []topology    // of -cluster
	minTime    time.Duration // spent on each query
	idleTime   time.Duration // for which idle processes are watched
	patience   time.Duration // longest wait for background work to end
	log        io.Writer     // progress
}

// testProfiles are profiles that are always at hand.
const testProfiles = "backend-server/internal/profile/pprof/testdata"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o := options{log: os.Stderr}
	fl := flag.NewFlagSet("load", flag.ContinueOnError)
	fl.StringVar(&o.profiles, "profiles", testProfiles, "folder of pprof files, searched to the bottom; each folder in it is a program")
	fl.StringVar(&o.binary, "binary", "", "server to measure; empty means to build it from ./backend-server")
	fl.StringVar(&o.peer, "peer", "", "binary of Grafana Pyroscope, to be measured beside it")
	fl.StringVar(&o.modes, "peer-modes", "v1,v2", "storage engines of the peer to measure")
	fl.BoolVar(&o.cluster, "cluster", false, "measure pushes to clusters, and nothing else")
	fl.StringVar(&o.shapes, "topologies", "one,split,all", "with -cluster: which ones; split is a distributor and three ingesters, all is three processes of everything")
	fl.IntVar(&o.workers, "workers", 0, "number of pushes on their way at a time; 0 means 4, and for a server that holds pushes back 64")
	fl.IntVar(&o.series, "series", 20, "number of series")
	fl.IntVar(&o.services, "services", 5, "number of services they are spread over")
	fl.DurationVar(&o.span, "span", 24*time.Hour, "time that the long run's profiles span")
	fl.BoolVar(&o.quick, "quick", false, "a quarter of the series, short spans, few repetitions: shows that it works")
	fl.BoolVar(&o.keep, "keep", false, "do not remove the servers' data and logs")
	fl.BoolVar(&o.asJSON, "json", false, "print JSON")
	if err := fl.Parse(args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hearth-bench")
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if o.keep {
		fmt.Fprintln(o.log, "data and logs are kept in", dir)
	} else {
		defer os.RemoveAll(dir) // nothing is lost if it stays
	}
	report, err := measure(ctx, &o, dir)
	switch {
	case report == nil: // nothing was measured
	case o.asJSON:
		err = errors.Join(err, json.NewEncoder(out).Encode(report))
	default:
		err = errors.Join(err, report.print(out))
	}
	return err
}

// check completes the options and says what is wrong with them.
func (o *options) check() error {
	o.minTime, o.patience, o.idleTime = time.Second, 2*time.Minute, 30*time.Second
	if o.quick {
		o.series, o.services, o.span = max(4, o.series/4), min(o.services, 2), min(o.span, 2*time.Hour)
		o.minTime, o.patience, o.idleTime = 200*time.Millisecond, 20*time.Second, 5*time.Second
	}
	switch {
	case o.series < 2:
		return fmt.Errorf("-series is %d; there must be at least 2, one of each kind", o.series)
	case o.workers < 0:
		return fmt.Errorf("-workers is %d; it must not be negative", o.workers)
	case o.services < 1:
		return fmt.Errorf("-services is %d; there must be at least 1", o.services)
	case o.span < time.Hour:
		return fmt.Errorf("-span is %s; it must be at least 1h", o.span)
	}
	var err error
	if o.topologies, err = topologies(o.shapes); err != nil {
		return err
	}
	o.end = time.Now().Truncate(longInterval).UnixMilli()
	return nil
}

// measure makes all runs on all servers. After an error the report has what was
// measured before it.
func measure(ctx context.Context, o *options, dir string) (*report, error) {
	corpus, err := loadCorpus(o.profiles)
	if err != nil {
		return nil, err
	}
	if o.binary == "" {
		if o.binary, err = buildServer(ctx, dir); err != nil {
			return nil, err
		}
	}
	all, err := subjects(o)
	if err != nil {
		return nil, err
	}
	out := &report{Notes: corpus.notes(o)}
	for _, s := range all {
		r := &result{Subject: s.name}
		out.Results = append(out.Results, r)
		for _, stage := range stages(o) {
			fmt.Fprintf(o.log, "%s: %s\n", s.name, stage.name)
			began := time.Now()
			if err := stage.run(ctx, o, s, filepath.Join(dir, s.name, stage.name), corpus, r); err != nil {
				return out, fmt.Errorf("%s, %s: %w", s.name, stage.name, err)
			}
			fmt.Fprintf(o.log, "%s: %s took %s\n", s.name, stage.name, time.Since(began).Round(time.Second))
		}
	}
	return out, nil
}
