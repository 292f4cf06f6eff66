// Package memory tells how much memory the process may use, so that defaults
// can be a share of it, and tells Go's runtime the same.
//
// The limit is the smallest of GOMEMLIMIT, the limits of the cgroup that the
// process is in and of those above it (v1 and v2), and the machine's memory.
package memory

import (
	"context"
	"math"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// fallback is assumed where the system does not tell.
const fallback = 2 << 30

// softShare is the part of the memory, in percent, above which the garbage
// collector is to work harder. The rest is for what it does not count: stacks
// of C, the kernel's buffers, files mapped.
const softShare = 90

// How much the heap may grow between two collections: by room, but by no less
// than leastPercent of it and by no more than mostPercent. A small heap is
// collected as Go does it by itself: more often would cost queries a quarter
// more CPU and save a few MiB. A large one is mostly arenas without pointers,
// which cost the collector nothing, so that collecting it more often is cheap
// and saves half of it. Measured with 100 and 50 percent: pushing to heads of
// 120 MB took 0.72 and 0.73 ms of CPU each, and 257 and 204 MiB in all; with
// heads of a few MB 59 and 52 MiB, but a query took 4.7 and 6.0 ms.
const (
	room         = 128 << 20
	leastPercent = 50
	mostPercent  = 100
	paceInterval = 10 * time.Second
)

// Limit returns how much memory the process may use.
func Limit() int64 {
	limit := min(debug.SetMemoryLimit(-1), system("/"))
	if limit == math.MaxInt64 {
		return fallback
	}
	return limit
}

// Tune gives the runtime a soft memory limit of nine tenths of the memory and,
// until ctx ends, a pace of collection that suits the size of the heap. What
// the operator has set, GOMEMLIMIT or GOGC, stays. It is for a process that
// has nothing else to do, and is called before anybody asks for Limit.
func Tune(ctx context.Context) {
	if limit := softLimit(os.LookupEnv, system("/")); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	if _, set := os.LookupEnv("GOGC"); !set {
		go pace(ctx)
	}
}

// softLimit returns the limit to set, or 0.
func softLimit(env func(string) (string, bool), memory int64) int64 {
	if _, set := env("GOMEMLIMIT"); set || memory == math.MaxInt64 {
		return 0
	}
	return memory / 100 * softShare
}

// pace sets the percentage by which the heap may grow, again and again.
func pace(ctx context.Context) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(paceInterval)
	defer tick.Stop()
	now := 0
	for {
		metrics.Read(live)
		// Setting it stops the world for a moment: not for nothing.
		if want := percent(live[0].Value.Uint64()); want != now {
			debug.SetGCPercent(want)
			now = want
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// percent is by how much a heap of so many bytes may grow, in steps of ten.
func percent(live uint64) int {
	exact := uint64(mostPercent)
	if live > room {
		exact = 100 * room / live
	}
	return max(leastPercent, int(exact)/10*10)
}

// system returns the memory that the system lets the process have; root is
// where its files are.
func system(root string) int64 {
	limit := fromFile(path.Join(root, "proc/meminfo"), memTotal)
	for _, name := range limitFiles(root) {
		limit = min(limit, fromFile(path.Join(root, name), number))
	}
	return limit
}

// limitFiles names the files that may hold a limit: those of the process' own
// cgroup and of all above it. Within a container the names that the process is
// told are often not there; the container's own group is the top one then.
func limitFiles(root string) []string {
	const (
		mount = "sys/fs/cgroup"
		v2    = "memory.max"
		v1    = "memory.limit_in_bytes"
	)
	names := []string{path.Join(mount, v2), path.Join(mount, "memory", v1)}
	raw, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return names
	}
	for line := range strings.Lines(string(raw)) {
		// number:controllers:path; v2 is number 0 and names no controllers.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := mount, v2
		switch {
		case parts[1] == "memory":
			base, file = path.Join(mount, "memory"), v1
		case parts[1] != "":
			continue
		}
		for group := path.Clean("/" + parts[2]); group != "/"; group = path.Dir(group) {
			names = append(names, path.Join(base, group, file))
		}
	}
	return names
}

func fromFile(name string, parse func(string) (int64, bool)) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return math.MaxInt64
	}
	if n, ok := parse(string(b)); ok && n > 0 {
		return n
	}
	return math.MaxInt64
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil
}

func memTotal(s string) (int64, bool) {
	for line := range strings.Lines(s) {
		rest, ok := strings.CutPrefix(line, "MemTotal:")
		if !ok {
			continue
		}
		n, ok := number(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		return n << 10, ok
	}
	return 0, false
}
