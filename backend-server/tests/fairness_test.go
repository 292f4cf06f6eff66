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
	heavyQueries  = 1000
	lightQueries  = 25
	heavyProfiles = 4000 // so that the queries are more work than what carries them
	lightProfiles = 800
	fairnessPush  = 40 // profiles of one request
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
	f.fill(t, "heavy", heavyProfiles, raw)
	f.fill(t, "light", lightProfiles, raw)
	free := f.latencies(t, "light", lightQueries)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var done atomic.Int64
	var running sync.WaitGroup
	for n := range heavyQueries {
		running.Go(func() {
			if _, err := f.ask(ctx, "heavy", n); err != nil && ctx.Err() == nil {
				t.Errorf("a query of the heavy tenant: %v", err)
				cancel()
			}
			done.Add(1)
		})
	}
	waiting := func() (n int) {
		for _, s := range schedulers {
			n += s.gauge("hearth_query_scheduler_queue_length")
		}
		return n
	}
	require.Eventually(t, func() bool { return waiting() > heavyQueries/4 }, fleetPatience, time.Millisecond, "the queries do not get into the queue")

	var busy []time.Duration
	var overtaken []float64 // of the queries not answered yet, the share that was before a light one
	for len(busy) < lightQueries {
		before := done.Load()
		if before > heavyQueries*9/10 {
			break
		}
		took, err := f.ask(t.Context(), "light", len(busy))
		require.NoError(t, err)
		busy = append(busy, took)
		overtaken = append(overtaken, float64(done.Load()-before)/float64(heavyQueries-before))
	}
	answered := done.Load()
	cancel()
	running.Wait()
	require.NotEmpty(t, busy)
	slices.Sort(busy)
	slices.Sort(overtaken)
	t.Logf("median of %d queries: %s, and %s while another tenant has up to %d waiting, %.1f times as long; 90th percentile %s and %s; %d of the others were answered",
		len(busy), free[len(free)/2], busy[len(busy)/2], heavyQueries, float64(busy[len(busy)/2])/float64(free[len(free)/2]), free[len(free)*9/10], busy[len(busy)*9/10], answered)
	require.Less(t, overtaken[len(overtaken)/2], 0.5, "the light tenant waits for what the heavy one has queued")
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

func (f *asked) fill(t *testing.T, tenant string, profiles int, raw []byte) {
	t.Helper()
	c := pushv1connect.NewPusherServiceClient(http.DefaultClient, f.entry.url, forTenant(tenant))
	p, err := profile.ParseData(raw)
	require.NoError(t, err)
	for n := range profiles / fairnessPush {
		raws := make([][]byte, fairnessPush)
		for i := range raws {
			p.TimeNanos = f.begin.Add(time.Duration(n*fairnessPush+i) * 200 * time.Millisecond).UnixNano()
			var b bytes.Buffer
			require.NoError(t, p.WriteUncompressed(&b))
			raws[i] = b.Bytes()
		}
		require.NoError(t, push(t.Context(), c, rawSeries(map[string]string{"service_name": "fair", "pod": fmt.Sprint(n % 8)}, raws...)))
	}
}

// ask asks for a flame graph that nobody has asked for before, and not for a
// whole service, of which there are sums.
func (f *asked) ask(ctx context.Context, tenant string, n int) (time.Duration, error) {
	begun := time.Now()
	client := querierv1connect.NewQuerierServiceClient(http.DefaultClient, f.front.url, forTenant(tenant))
	res, err := client.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: fmt.Sprintf(`{service_name="fair", pod!="0", pod!="other-%d-%d"}`, n, begun.UnixNano()),
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
