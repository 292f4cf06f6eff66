// Package memory tells how much memory the process may use, so that defaults
// can be a share of it.
package memory

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// fallback is assumed where the system does not tell.
const fallback = 2 << 30

// Limit returns the smallest of GOMEMLIMIT, the memory limit of the cgroup and
// the memory of the machine.
func Limit() int64 {
	limit := min(debug.SetMemoryLimit(-1), fromFile("/sys/fs/cgroup/memory.max", number), fromFile("/proc/meminfo", memTotal))
	if limit == math.MaxInt64 {
		return fallback
	}
	return limit
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
