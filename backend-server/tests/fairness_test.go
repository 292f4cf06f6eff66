package tests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	"github.com/stretchr/testify/require"
)

// Sizes of the test of fairness: how many queries one tenant has waiting, how
// many the other one asks one after the other meanwhile, and the profiles that
// each of them looks at.
const (
	heavyQueries    = 1000
	lightQueries    = 25
	fairnessSamples = 120
)

// fairnessFlags let a tenant have that many queries waiting.
var fairnessFlags = []string{"-auth.multitenancy-enabled", "-query-scheduler.max-outstanding-requests-per-tenant=2000", "-validation.reject-older-than=0"}

// TestFairness has one tenant ask a thousand questions at once. Those of
// another one are answered in turn, not after them. The ratio of latencies that
// it prints is measured, not tested.
func TestFairness(t *testing.T) {
	short(t)
	t.Run("one process", func(t *testing.T) {
		s := &endpoint{startReady(t, t.TempDir(), fairnessFlags...), "alone"}
		fairness(t, s, s, []*endpoint{s})
	})
	t.Run("a process for each role", func(t *testing.T) {
		f := newFleet(t, newLoopback(t), []place{
			{"store-gateway", 1}, {"query-scheduler", 1}, {"ingester", 1}, {"distributor", 1}, {"querier", 1}, {"query-frontend", 1},
		}, append(fairnessFlags, "-ingester.ring.replication-factor=1")...)
		fairness(t, f.endpoints("distributor")[0], f.endpoints("query-frontend")[0], f.endpoints("query-scheduler"))
	})
}

func fairness(t *testing.T, entry, front *endpoint, schedulers []*endpoint) {
	begin := time.Now().Add(-30 * time.Minute).Truncate(time.Second)
	raw, err := os.ReadFile(filepath.Join("..", "internal", "profile", "pprof", "testdata", "go-cpu.pb.gz"))
	require.NoError(t, err)
	f := &asked{entry, front, begin}
	f.fill(t, "heavy", raw)
	f.fill(t, "light", raw)
	free := f.latencies(t, "light", lightQueries)

	var done, failed atomic.Int64
	var running sync.WaitGroup
	for n := range heavyQueries {
		running.Go(func() {
			if _, err := f.ask(t.Context(), "heavy", n); err != nil && failed.Add(1) == 1 {
				t.Errorf("a query of the heavy tenant: %v", err)
			}
			done.Add(1)
		})
	}
	require.Eventually(t, func() bool {
		waiting := 0
		for _, s := range schedulers {
			waiting += s.gauge("hearth_query_scheduler_queue_length")
		}
		return waiting+int(done.Load()) > heavyQueries*9/10
	}, fleetPatience, 5*time.Millisecond, "the queries do not get into the queue")
	before := done.Load()
	busy := f.latencies(t, "light", lightQueries)
	after := done.Load()
	running.Wait()

	t.Logf("median of %d queries: %s, and %s while another tenant has %d waiting, %.1f times as long; 90th percentile %s and %s; meanwhile %d of the others were answered",
		lightQueries, free[len(free)/2], busy[len(busy)/2], heavyQueries-before, float64(busy[len(busy)/2])/float64(free[len(free)/2]),
		free[len(free)*9/10], busy[len(busy)*9/10], after-before)
	require.Zero(t, failed.Load())
	require.Less(t, after, int64(heavyQueries*9/10), "the other tenant had to wait for nearly all of them")
}

// asked is a server with profiles of several tenants.
type asked struct {
	entry, front *endpoint
	begin        time.Time
}

// forTenant is an option of clients that act for a tenant.
func forTenant(id string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("X-Scope-OrgID", id)
			return next(ctx, req)
		}
	}))
}

func (f *asked) fill(t *testing.T, tenant string, raw []byte) {
	t.Helper()
	c := pushv1connect.NewPusherServiceClient(http.DefaultClient, f.entry.url, forTenant(tenant))
	p, err := profile.ParseData(raw)
	require.NoError(t, err)
	for n := range fairnessSamples {
		p.TimeNanos = f.begin.Add(time.Duration(n) * time.Second).UnixNano()
		var b bytes.Buffer
		require.NoError(t, p.Write(&b))
		require.NoError(t, push(t.Context(), c, rawSeries(map[string]string{"service_name": "fair", "pod": fmt.Sprint(n % 8)}, b.Bytes())))
	}
}

// ask asks for a flame graph that nobody has asked for before.
func (f *asked) ask(ctx context.Context, tenant string, n int) (time.Duration, error) {
	begun := time.Now()
	client := querierv1connect.NewQuerierServiceClient(http.DefaultClient, f.front.url, forTenant(tenant))
	res, err := client.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: fmt.Sprintf(`{service_name="fair", pod!="other-%d-%d"}`, n, begun.UnixNano()),
		Start: f.begin.UnixMilli(), End: f.begin.Add(time.Hour).UnixMilli(),
	}))
	if err == nil && res.Msg.GetFlamegraph().GetTotal() == 0 {
		err = errors.New("an empty flame graph")
	}
	return time.Since(begun), err
}

// latencies asks one question after the other.
func (f *asked) latencies(t *testing.T, tenant string, n int) []time.Duration {
	t.Helper()
	out := make([]time.Duration, n)
	for i := range out {
		var err error
		out[i], err = f.ask(t.Context(), tenant, i)
		require.NoError(t, err)
	}
	slices.Sort(out)
	return out
}

// gauge returns a metric that has no labels, 0 if it is not there.
func (s *server) gauge(name string) int {
	code, body := s.get("/metrics")
	if code != http.StatusOK {
		return 0
	}
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			var f float64
			_, _ = fmt.Sscan(value, &f)
			return int(f)
		}
	}
	return 0
}
