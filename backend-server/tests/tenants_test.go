package tests

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/tests/stores"
)

// The table of docs/benchmarks.md:
//
//	go test ./backend-server/tests -run TestManyTenants -v -bucket.tenants=50 -bucket.blocks=20
var (
	manyTenants = flag.Int("bucket.tenants", fewTenants, "tenants of TestManyTenants")
	manyBlocks  = flag.Int("bucket.blocks", 5, "blocks that each of them has, an hour each, up to 24")
)

const fewTenants = 4

// profilesPerBlock makes small blocks.
const profilesPerBlock = 12

// work is what a process has done.
type work struct {
	took    time.Duration
	ops     map[string]int
	fetched int
	cpu     time.Duration // of the whole process; 0 while it runs
	peak    int64         // bytes of memory, likewise
}

func (w work) String() string {
	text := fmt.Sprintf("%.3f s, %v, %d bytes", w.took.Seconds(), w.ops, w.fetched)
	if w.cpu > 0 {
		text += fmt.Sprintf("; process: CPU %.2f s, peak memory %d MiB", w.cpu.Seconds(), w.peak>>20)
	}
	return text
}

var storeOps = regexp.MustCompile(`(?m)^hearth_objstore_bucket_operation(s|_fetched_bytes)_total\{[^}]*operation="(\w+)"[^}]*\} (\S+)$`)

// storeWork returns what a process has asked of the object store until now.
func storeWork(t *testing.T, s *server) work {
	t.Helper()
	code, page := s.get("/metrics")
	require.Equal(t, http.StatusOK, code)
	w := work{ops: map[string]int{}}
	for _, m := range storeOps.FindAllStringSubmatch(page, -1) {
		n, err := strconv.ParseFloat(m[3], 64)
		require.NoError(t, err)
		switch {
		case m[1] != "s":
			w.fetched += int(n)
		case n > 0:
			w.ops[m[2]] += int(n)
		}
	}
	return w
}

// since returns what came after another look.
func (w work) since(before work) work {
	for op, n := range before.ops {
		if w.ops[op] -= n; w.ops[op] == 0 {
			delete(w.ops, op)
		}
	}
	w.fetched -= before.fetched
	return w
}

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// ends stops a process and adds what it took. The memory is not that of its
// resource usage, which counts what this process had when it started it; it is
// left out where there is no /proc.
func (w *work) ends(t *testing.T, s *server) {
	t.Helper()
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid)); err == nil {
		m := highWater.FindSubmatch(status)
		require.NotNil(t, m)
		kib, err := strconv.ParseInt(string(m[1]), 10, 64)
		require.NoError(t, err)
		w.peak = kib << 10
	}
	s.stop(t)
	w.cpu = s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
}

// inventory is a bucket of many small blocks.
type inventory struct {
	t     *testing.T
	flags []string
}

// fill makes the blocks, as one ingester does of a day's profiles.
func (v *inventory) fill() {
	v.t.Helper()
	data := v.t.TempDir()
	s := startReady(v.t, data, append([]string{"-auth.multitenancy-enabled", "-validation.reject-older-than=0"}, v.flags...)...)
	rng := rand.New(rand.NewPCG(3, 3))
	p := newProgram("small", rng)
	midnight := time.Now().Truncate(daySpan).Add(-daySpan)
	for tenant := range *manyTenants {
		for hour := range *manyBlocks {
			var series []*pushv1.RawProfileSeries
			for i := range profilesPerBlock {
				at := midnight.Add(time.Duration(hour)*time.Hour + time.Duration(i)*4*time.Minute)
				series = append(series, rawSeries(map[string]string{"service_name": "small", "pod": fmt.Sprintf("pod-%d", i%3)}, p.profile(v.t, at, rng)))
			}
			req := connect.NewRequest(&pushv1.PushRequest{Series: series})
			req.Header().Set("X-Scope-OrgID", fmt.Sprintf("tenant-%02d", tenant))
			_, err := s.pusher().Push(v.t.Context(), req)
			require.NoError(v.t, err)
		}
	}
	s.flush(v.t)
	s.stop(v.t)
	require.NoError(v.t, os.RemoveAll(data))
}

// gateway starts a store-gateway that has nothing, until it is ready, and ends
// it again.
func (v *inventory) gateway() (w work, blocks int) {
	v.t.Helper()
	begin := time.Now()
	s := startReady(v.t, v.t.TempDir(), append([]string{"-target=store-gateway"}, v.flags...)...)
	took := time.Since(begin)
	_, page := s.get("/metrics")
	for line := range strings.Lines(page) {
		if n, ok := strings.CutPrefix(line, "hearth_store_gateway_blocks "); ok {
			known, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
			require.NoError(v.t, err)
			blocks = int(known)
		}
	}
	w = storeWork(v.t, s)
	w.took = took
	w.ends(v.t, s)
	return w, blocks
}

// rounds starts a compactor, has it make rounds, and ends it again.
func (v *inventory) rounds(n int, flags ...string) (out []work) {
	v.t.Helper()
	s := startReady(v.t, v.t.TempDir(), append(append([]string{"-target=compactor", "-compactor.interval=10h", "-compactor.deletion-delay=0s"}, v.flags...), flags...)...)
	for range n {
		before, begin := storeWork(v.t, s), time.Now()
		round(v.t, s)
		took := time.Since(begin)
		w := storeWork(v.t, s).since(before)
		w.took = took
		out = append(out, w)
	}
	out[n-1].ends(v.t, s)
	return out
}

// TestManyTenants: what it costs to know many blocks, with the index and
// without, to compact them, and to find that there is nothing to do.
func TestManyTenants(t *testing.T) {
	for _, name := range []string{bucket.Filesystem, bucket.S3} {
		t.Run(name, func(t *testing.T) {
			if name == bucket.S3 && *manyTenants == fewTenants {
				long(t)
			}
			v := &inventory{t, stores.Start(t, name).Flags}
			tenants, blocks := *manyTenants, *manyTenants**manyBlocks
			v.fill()

			w, known := v.gateway()
			t.Logf("store-gateway, no index: %s", w)
			require.Equal(t, blocks, known)

			rounds := v.rounds(2, "-compactor.after=100000h")
			t.Logf("the index is made: %s\nidle: %s", rounds[0], rounds[1])
			require.Equal(t, tenants, rounds[0].ops["upload"])
			v.idle(rounds[1])

			w, known = v.gateway()
			t.Logf("store-gateway, %d blocks in the index: %s", blocks, w)
			require.Equal(t, blocks, known)
			require.Less(t, w.ops["get"], 2*tenants+checks, "no meta file is read")

			rounds = v.rounds(3, "-compactor.after=0s")
			t.Logf("compaction: %s\nremoval of what is replaced: %s\nidle: %s", rounds[0], rounds[1], rounds[2])
			v.idle(rounds[2])

			w, known = v.gateway()
			t.Logf("store-gateway, compacted: %s", w)
			require.Equal(t, tenants, known, "a block a day")
		})
	}
}

// checks is more than a process reads to see that the bucket works.
const checks = 4

// idle requires that a round that has nothing to do changes nothing, and looks
// at no block.
func (v *inventory) idle(w work) {
	v.t.Helper()
	require.Zero(v.t, w.ops["upload"]+w.ops["delete"]+w.ops["get_range"], "%s", w)
	require.LessOrEqual(v.t, w.ops["get"], *manyTenants+checks, "the indexes alone")
}
