package dev

import (
	"context"
	"errors"
	"os"
)

// Bench runs the benchmarks of the code, then measures the whole server, beside
// a peer if one is named. Its settings are variables of the environment:
//
//	HEARTH_BENCH_PROFILES  folder of pprof files to push; default: test data
//	HEARTH_BENCH_PEER      binary of Grafana Pyroscope to measure as well
//	HEARTH_BENCH_SPAN      time that the long run's profiles span, e.g. 24h
//	HEARTH_BENCH_CLUSTER   anything: afterwards measures pushes to clusters too
//	HEARTH_BENCH_QUICK     anything: less of everything, to see that it works
func Bench(ctx context.Context) error {
	ctx, cancel := untilAsked(ctx)
	defer cancel()
	parts := append([]string{"test", "-run=^$", "-bench=.", "-benchmem", "-timeout=30m"}, benchTime(os.Getenv)...)
	parts = append(parts, goPackages...)
	whole := append([]string{"run", "./backend-server/tests/load"}, loadFlags(os.Getenv)...)
	err := errors.Join(run(ctx, os.Stdout, "go", parts...), run(ctx, os.Stdout, "go", whole...))
	if os.Getenv("HEARTH_BENCH_CLUSTER") != "" {
		err = errors.Join(err, run(ctx, os.Stdout, "go", append(whole, "-cluster")...))
	}
	return err
}

func benchTime(getenv func(string) string) []string {
	if getenv("HEARTH_BENCH_QUICK") != "" {
		return []string{"-benchtime=20ms", "-short"}
	}
	return []string{"-benchtime=300ms"}
}

// loadFlags are the settings as flags of the load command.
func loadFlags(getenv func(string) string) []string {
	var out []string
	for _, s := range []struct{ name, flag string }{
		{"HEARTH_BENCH_PROFILES", "-profiles="}, {"HEARTH_BENCH_PEER", "-peer="}, {"HEARTH_BENCH_SPAN", "-span="},
	} {
		if v := getenv(s.name); v != "" {
			out = append(out, s.flag+v)
		}
	}
	if getenv("HEARTH_BENCH_QUICK") != "" {
		out = append(out, "-quick")
	}
	return out
}
