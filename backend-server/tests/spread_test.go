package tests

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/require"
)

// spread is the state of TestSpread: what has been pushed, and what each
// profile is worth.
type spread struct {
	begin time.Time
	// By variant: the profile, and CPU time by function.
	variants []*profile.Profile
	selfs    []map[string]int64
	sent     []spreadPush
}

// spreadPush is one profile of one pod.
type spreadPush struct {
	service, pod string
	at           time.Time
	variant      int
}

const (
	spreadHours    = 3
	spreadServices = 3
	spreadVariants = 4
)

// TestSpread pushes a real profile many times over hours, so that at the same
// moment some are in the head, some in local blocks and some in the bucket, and
// holds every sum to what was sent: nothing lost, nothing counted twice.
func TestSpread(t *testing.T) {
	data := t.TempDir()
	flags := []string{"-validation.reject-older-than=0"}
	c := newSpread(t)
	s := startReady(t, data, flags...)
	for part := range 4 {
		c.push(t, s, part, 4)
		if part < 3 {
			s.flush(t)
		}
	}
	c.verify(t, s, "head and blocks")
	s.kill()
	s = startReady(t, data, flags...)
	c.verify(t, s, "head and blocks, after a kill")
	sent := c.sent
	for part := range 4 {
		c.push(t, s, part, 4)
	}
	c.sent = sent
	c.verify(t, s, "everything sent again")
	s.kill()

	local, err := filepath.Glob(filepath.Join(data, "tenants", "*", "local", "*"))
	require.NoError(t, err)
	require.Greater(t, len(local), 5)
	for _, dir := range local[:len(local)/2] {
		require.NoError(t, os.RemoveAll(dir))
	}
	s = startReady(t, data, flags...)
	c.verify(t, s, "head, local blocks and the bucket")
	s.flush(t)
	c.verify(t, s, "blocks, local and in the bucket")
	s.kill()

	s = startReady(t, t.TempDir(), "-target=querier,query-frontend,store-gateway", "-storage.filesystem.dir="+filepath.Join(data, "bucket"))
	c.verify(t, s, "another process, the bucket alone")
}

func newSpread(t *testing.T) *spread {
	f, err := os.Open(filepath.Join("..", "internal", "profile", "pprof", "testdata", "go-cpu.pb.gz"))
	require.NoError(t, err)
	defer f.Close()
	c := &spread{begin: time.Now().Add(-spreadHours * time.Hour).Truncate(time.Second)}
	raw, err := profile.Parse(f)
	require.NoError(t, err)
	for v := range spreadVariants {
		selfs := map[string]int64{}
		c.variants = append(c.variants, without(raw, v+3))
		for _, s := range c.variants[v].Sample {
			name := "total" // of a sample without frames
			if len(s.Location) > 0 {
				name = s.Location[0].Line[0].Function.Name
				if i := strings.Index(name, "[go.shape"); i >= 0 {
					name = name[:i] + name[strings.LastIndexByte(name, ']')+1:]
				}
			}
			selfs[name] += s.Value[1]
		}
		c.selfs = append(c.selfs, selfs)
	}
	return c
}

// without returns the profile without every n-th of its samples.
func without(p *profile.Profile, n int) *profile.Profile {
	p = p.Copy()
	all := p.Sample
	p.Sample = nil
	for i, s := range all {
		if i%n != 0 {
			p.Sample = append(p.Sample, s)
		}
	}
	return p.Compact()
}

// push pushes one part of all profiles: those of every hour, so that the blocks
// of the parts overlap.
func (c *spread) push(t *testing.T, s *server, part, parts int) {
	t.Helper()
	for i := part; i < spreadHours*30; i += parts {
		for svc := range spreadServices {
			p := spreadPush{fmt.Sprintf("spread-%d", svc), fmt.Sprintf("pod-%d", i%2), c.begin.Add(time.Duration(2*i)*time.Minute + time.Duration(svc)*time.Second), (i + svc) % spreadVariants}
			raw := c.variants[p.variant]
			raw.TimeNanos = p.at.UnixNano()
			var b bytes.Buffer
			require.NoError(t, raw.Write(&b))
			require.NoError(t, push(t.Context(), s.pusher(), rawSeries(map[string]string{"service_name": p.service, "pod": p.pod}, b.Bytes())))
			c.sent = append(c.sent, p)
		}
	}
}

// verify asks for whole services, for single pods and for everything, over
// ranges that begin and end anywhere and over ones of whole windows.
func (c *spread) verify(t *testing.T, s *server, when string) {
	t.Helper()
	end := c.begin.Add(spreadHours * time.Hour)
	const window = 5 * time.Minute
	ranges := [][2]time.Time{
		{c.begin, end},
		{c.begin.Add(17*time.Minute + 300*time.Millisecond), end.Add(-71 * time.Minute)},
		{c.begin.Truncate(window).Add(window), end.Truncate(window).Add(-time.Millisecond)},
	}
	for _, r := range ranges {
		c.verifyGraph(t, s, "", "", r, when)
		for svc := range spreadServices {
			c.verifyGraph(t, s, fmt.Sprintf("spread-%d", svc), "", r, when)
		}
		c.verifyGraph(t, s, "spread-1", "pod-1", r, when)
	}
	got := pointsEvery(t, s, `{service_name="spread-0"}`, "pod", c.begin, end, time.Second)
	want := map[string]map[int64]int64{"pod-0": {}, "pod-1": {}}
	for _, p := range c.sent {
		if p.service == "spread-0" {
			want[p.pod][p.at.UnixMilli()] = sum(c.selfs[p.variant])
		}
	}
	require.Equal(t, want, got, when)
}

func (c *spread) verifyGraph(t *testing.T, s *server, service, pod string, r [2]time.Time, when string) {
	t.Helper()
	var matchers []string
	if service != "" {
		matchers = append(matchers, fmt.Sprintf("service_name=%q", service))
	}
	if pod != "" {
		matchers = append(matchers, fmt.Sprintf("pod=%q", pod))
	}
	want := map[string]int64{}
	for _, p := range c.sent {
		if p.at.Before(r[0]) || p.at.After(r[1]) || service != "" && p.service != service || pod != "" && p.pod != pod {
			continue
		}
		for name, v := range c.selfs[p.variant] {
			want[name] += v
		}
	}
	nodes := int64(1 << 20)
	res, err := s.querier().SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: "{" + strings.Join(matchers, ",") + "}", Start: r[0].UnixMilli(), End: r[1].UnixMilli(), MaxNodes: &nodes,
	}))
	require.NoError(t, err, when)
	graph := res.Msg.Flamegraph
	got := map[string]int64{}
	for _, level := range graph.Levels {
		for i := 0; i < len(level.Values); i += 4 { // gap, total, self, name
			if self := level.Values[i+2]; self > 0 {
				got[graph.Names[level.Values[i+3]]] += self
			}
		}
	}
	require.Equal(t, want, got, "%s: %v from %s to %s", when, matchers, r[0], r[1])
	require.Equal(t, sum(want), graph.Total, when)
}

func sum(values map[string]int64) (total int64) {
	for _, v := range values {
		total += v
	}
	return total
}
