package tests

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/require"
)

// day is a day of many services, each a program of its own with some hundred
// functions, and what is to be found of them.
type day struct {
	end      time.Time
	interval time.Duration
	programs []*program
}

const daySpan = 24 * time.Hour

// program is the call tree of a service, and what its profiles add up to.
type program struct {
	service string
	stacks  [][]*profile.Location
	locs    []*profile.Location
	points  map[int64]int64  // by time
	sums    map[string]int64 // by stack, root first
}

// Sizes of a program: about those of a small server.
const (
	programFunctions = 400
	programStacks    = 1200
	programSamples   = 80 // of a profile
)

func newDay(services int, interval time.Duration) *day {
	d := &day{end: time.Now().Add(-2 * time.Hour).Truncate(24 * time.Hour), interval: interval}
	for i := range services {
		d.programs = append(d.programs, newProgram(fmt.Sprintf("service-%02d", i), rand.New(rand.NewPCG(7, uint64(i)))))
	}
	return d
}

func newProgram(service string, rng *rand.Rand) *program {
	p := &program{service: service, points: map[int64]int64{}, sums: map[string]int64{}}
	for i := range programFunctions {
		name := fmt.Sprintf("example.com/%s/package%d.(*Type%d).Method%04d", service, i%17, i%61, rng.IntN(10_000))
		f := &profile.Function{ID: uint64(i + 1), Name: name, SystemName: name, Filename: fmt.Sprintf("/src/%s/package%d/file%d.go", service, i%17, i%61)}
		p.locs = append(p.locs, &profile.Location{ID: uint64(i + 1), Address: uint64(0x400000 + 64*i), Line: []profile.Line{{Function: f, Line: int64(1 + rng.IntN(900))}}})
	}
	for range programStacks {
		var stack []*profile.Location
		if n := len(p.stacks); n > 0 { // as one that is there, up to some frame
			from := p.stacks[rng.IntN(n)]
			stack = append(stack, from[:rng.IntN(len(from))]...)
		}
		for range 1 + rng.IntN(6) {
			stack = append(stack, p.locs[rng.IntN(len(p.locs))])
		}
		p.stacks = append(p.stacks, stack)
	}
	return p
}

// profile makes the service's profile of a time, and takes note of it.
func (p *program) profile(t *testing.T, at time.Time, rng *rand.Rand) []byte {
	t.Helper()
	out := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1,
		TimeNanos: at.UnixNano(), DurationNanos: int64(15 * time.Second), Location: p.locs,
	}
	for _, l := range p.locs {
		out.Function = append(out.Function, l.Line[0].Function)
	}
	// Some stacks are common and most are rare.
	for range programSamples {
		i := int(rng.ExpFloat64()*programStacks/8) % programStacks
		value := 10_000_000 * (1 + rng.Int64N(20))
		leafFirst := make([]*profile.Location, len(p.stacks[i]))
		names := make([]string, len(p.stacks[i]))
		for k, l := range p.stacks[i] {
			leafFirst[len(leafFirst)-1-k], names[k] = l, l.Line[0].Function.Name
		}
		out.Sample = append(out.Sample, &profile.Sample{Location: leafFirst, Value: []int64{value}})
		p.sums[strings.Join(names, ";")] += value
		p.points[at.UnixMilli()] += value
	}
	var b bytes.Buffer
	require.NoError(t, out.Write(&b))
	return b.Bytes()
}

// push sends all profiles, those of a time in one request, to servers in turn,
// and returns how many they are.
func (d *day) push(t *testing.T, to []*endpoint) (n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	for at := d.end.Add(-daySpan); at.Before(d.end); at = at.Add(d.interval) {
		var series []*pushv1.RawProfileSeries
		for i, p := range d.programs {
			own := at.Add(time.Duration(i) * time.Second)
			series = append(series, rawSeries(map[string]string{"service_name": p.service, "pod": fmt.Sprintf("pod-%d", n%2)}, p.profile(t, own, rng)))
			n++
		}
		patiently(t, "push", func() error { return push(t.Context(), to[n%len(to)].pusher(), series...) })
	}
	return n
}

// graph asks for the flame graph of a service over all of the day.
func (d *day) graph(t *testing.T, s *server, p *program) {
	t.Helper()
	all := int64(1 << 20)
	patiently(t, "flame graph of "+p.service, func() error {
		res, err := s.querier().SelectMergeStacktraces(t.Context(), connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
			ProfileTypeID: cpuType, LabelSelector: fmt.Sprintf("{service_name=%q}", p.service), MaxNodes: &all,
			Start: d.end.Add(-daySpan).UnixMilli(), End: d.end.UnixMilli(),
		}))
		if err != nil {
			return err
		}
		require.Equal(t, p.total(), res.Msg.GetFlamegraph().GetTotal(), p.service)
		return nil
	})
}

func (p *program) total() (sum int64) {
	for _, v := range p.sums {
		sum += v
	}
	return sum
}

// verify holds a server to what was pushed: every profile is there once, and
// every stack has its sum.
func (d *day) verify(t *testing.T, s *server, when string) {
	t.Helper()
	want := map[string]map[int64]int64{}
	for _, p := range d.programs {
		want[p.service] = p.points
		patiently(t, when+", merged profile", func() error {
			res, err := s.querier().SelectMergeProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeProfileRequest{
				ProfileTypeID: cpuType, LabelSelector: fmt.Sprintf("{service_name=%q}", p.service),
				Start: d.end.Add(-daySpan).UnixMilli(), End: d.end.UnixMilli(),
			}))
			if err != nil {
				return err
			}
			got := map[string]int64{}
			for _, s := range res.Msg.Sample {
				var names []string
				for i := len(s.LocationId) - 1; i >= 0; i-- {
					f := res.Msg.Location[s.LocationId[i]-1].Line[0].FunctionId
					names = append(names, res.Msg.StringTable[res.Msg.Function[f-1].Name])
				}
				got[strings.Join(names, ";")] += s.Value[0]
			}
			require.Equal(t, p.sums, got, "%s, %s", when, p.service)
			return nil
		})
	}
	require.Equal(t, want, pointsEvery(t, s, "{}", "service_name", d.end.Add(-daySpan), d.end, time.Second), when)
}
