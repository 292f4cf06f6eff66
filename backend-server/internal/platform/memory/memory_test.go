package memory

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemTotal(t *testing.T) {
	n, ok := memTotal("MemFree: 3 kB\nMemTotal:       24576 kB\n")
	require.True(t, ok)
	require.EqualValues(t, 24<<20, n)
	_, ok = memTotal("nothing")
	require.False(t, ok)
}

func TestNumber(t *testing.T) {
	_, ok := number("max\n")
	require.False(t, ok)
	n, ok := number("4096\n")
	require.True(t, ok)
	require.EqualValues(t, 4096, n)
}

func TestLimit(t *testing.T) {
	require.Greater(t, Limit(), int64(0))
	require.Less(t, Limit(), int64(math.MaxInt64))
}

// machine writes the files that a system would show.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	return root
}

func TestSystem(t *testing.T) {
	const total = "proc/meminfo"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing told":      {nil, math.MaxInt64},
		"machine":           {map[string]string{total: "MemTotal: 8192 kB\n"}, 8 << 20},
		"container":         {map[string]string{total: "MemTotal: 8192 kB\n", "sys/fs/cgroup/memory.max": "4096\n", "proc/self/cgroup": "0::/\n"}, 4096},
		"container, no max": {map[string]string{total: "MemTotal: 8192 kB\n", "sys/fs/cgroup/memory.max": "max\n"}, 8 << 20},
		"service": {map[string]string{
			total: "MemTotal: 8192 kB\n", "proc/self/cgroup": "0::/system.slice/hearth.service\n",
			"sys/fs/cgroup/system.slice/hearth.service/memory.max": "5000\n", "sys/fs/cgroup/system.slice/memory.max": "max\n",
		}, 5000},
		"a group above": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "5000\n", "sys/fs/cgroup/a/memory.max": "3000\n",
		}, 3000},
		"v1": {map[string]string{
			"proc/self/cgroup": "12:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "7000\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 7000},
	} {
		require.Equal(t, c.want, system(machine(t, c.files)), name)
	}
}

func TestTheOperatorsWordStays(t *testing.T) {
	env := func(set ...string) func(string) (string, bool) {
		return func(name string) (string, bool) { return "1", slices.Contains(set, name) }
	}
	require.EqualValues(t, 900, softLimit(env("GOGC"), 1000))
	require.Zero(t, softLimit(env("GOMEMLIMIT"), 1000))
	require.Zero(t, softLimit(env(), math.MaxInt64), "an unknown memory is no limit")
}

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 1 << 20: 100, 128 << 20: 100, 160 << 20: 80, 200 << 20: 60, 256 << 20: 50, 10 << 30: 50} {
		require.Equal(t, want, percent(live), "%d MiB", live>>20)
	}
}

func TestTuneSetsThePace(t *testing.T) {
	before := debug.SetGCPercent(77)
	limit := debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(before)
		debug.SetMemoryLimit(limit)
	}()
	_, mine := os.LookupEnv("GOGC")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	Tune(ctx)
	read := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	require.Eventually(t, func() bool {
		metrics.Read(read)
		return mine == (read[0].Value.Uint64() == 77)
	}, 5*time.Second, time.Millisecond)
}
