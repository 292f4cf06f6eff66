//go:build unix

package dbtest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// BenchmarkGrowth shows what grows how: ten times the profiles at the same
// number of series, and a hundred times the series at the same number of
// profiles, always over one hour. Times are those of the CPU, of all threads;
// what they are of, each metric says.
//
//	go test -run=^$ -bench=Growth -benchtime=1x ./backend-server/internal/db/dbtest
func BenchmarkGrowth(b *testing.B) {
	for _, size := range []growth{{1_000, 10}, {10_000, 10}, {100_000, 10}, {100_000, 1_000}, {100_000, 100_000}} {
		if testing.Short() && size.profiles > 10_000 {
			continue
		}
		b.Run(fmt.Sprintf("profiles=%d/series=%d", size.profiles, size.series), func(b *testing.B) {
			for range b.N {
				size.run(b)
			}
		})
	}
}

type growth struct{ profiles, series int }

const (
	growthStart  = profile.UnixMilli(1_700_000_100_000) // begins a window of sums
	growthLength = 3_600_000
	growthBatch  = 256
	// growthServices are the services that the series belong to.
	growthServices = 5
)

var growthType = profile.Type{Name: "process_cpu", SampleType: "cpu", SampleUnit: "nanoseconds", PeriodType: "cpu", PeriodUnit: "nanoseconds"}

// run fills a database on the disk and reports what each thing costs.
func (g growth) run(b *testing.B) {
	ctx := context.Background()
	d, err := db.Open(ctx, b.TempDir(), db.Options{MaxBlockDuration: 2 * time.Hour})
	require.NoError(b, err)
	defer d.Close()
	variants := growthProfiles(b)
	lists := g.labels()
	empty := liveHeap()

	var appending time.Duration
	recs := make([]profile.Record, 0, growthBatch)
	for i := range g.profiles {
		p := variants[i%len(variants)]
		recs = append(recs, profile.Record{
			ID: uint64(i + 1), Labels: lists[i%g.series], Profile: p, SampleEnd: len(p.Samples),
			Time: growthStart + profile.UnixMilli(int64(i)*growthLength/int64(g.profiles)),
		})
		if len(recs) < growthBatch && i+1 < g.profiles {
			continue
		}
		began := cpuTime(b)
		if errs := d.Append(ctx, recs); errs != nil {
			b.Fatal(errs)
		}
		appending += cpuTime(b) - began
		recs = recs[:0]
	}
	perProfile := func(v float64) float64 { return v / float64(g.profiles) }
	b.ReportMetric(perProfile(float64(appending.Microseconds())), "append-µs/profile")
	b.ReportMetric(perProfile(liveHeap()-empty), "head-B/profile")
	g.ask(b, d, "head")

	began := cpuTime(b)
	require.NoError(b, d.Flush(ctx))
	b.ReportMetric(perProfile(float64((cpuTime(b) - began).Microseconds())), "flush-µs/profile")
	size := int64(0)
	for _, blk := range d.Unshipped() {
		size += blk.Meta.Size()
	}
	b.ReportMetric(perProfile(float64(size)), "block-B/profile")
	g.ask(b, d, "block")
	b.ReportMetric(0, "ns/op") // the sum of it all tells nothing
	runtime.KeepAlive(lists)
}

// labels are those of the series. They are in memory before the head is, which
// would hold them too.
func (g growth) labels() []labels.Labels {
	out := make([]labels.Labels, g.series)
	for i := range out {
		out[i] = labels.FromStrings(profile.LabelName, growthType.Name,
			profile.LabelServiceName, fmt.Sprintf("service-%d", i%growthServices), "pod", fmt.Sprintf("pod-%06d", i))
	}
	return out
}

// growthProfiles returns profiles of about fifty samples each, drawn from a
// real one. They are few, since all of them are in memory.
func growthProfiles(b *testing.B) []*profile.Profile {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "profile", "pprof", "testdata", "go-cpu.pb.gz"))
	require.NoError(b, err)
	p, err := new(pprof.Decoder).Decode(raw, pprof.Options{})
	require.NoError(b, err)
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]*profile.Profile, 200)
	for i := range out {
		c := *p
		c.Samples, c.Values = nil, nil
		for j := range p.Samples {
			if rng.IntN(len(p.Samples)) >= 50 {
				continue
			}
			c.Samples = append(c.Samples, p.Samples[j])
			for _, v := range p.Row(j) {
				c.Values = append(c.Values, v*(1+int64(i%3)))
			}
		}
		out[i] = &c
	}
	return out
}

// ask reports what questions cost.
func (g growth) ask(b *testing.B, d *db.DB, where string) {
	ctx := context.Background()
	is := func(name, value string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, name, value) }
	sel := query.Selection{Type: growthType, Range: profile.TimeRange{Start: growthStart, End: growthStart + growthLength - 1}}
	one, service := sel, sel
	one.Matchers = []*labels.Matcher{is("pod", "pod-000000")}
	service.Matchers = []*labels.Matcher{is(profile.LabelServiceName, "service-0")}
	engine := query.NewEngine(query.Limits{})
	view := d.View(sel.Range)
	defer view.Release()
	for name, sel := range map[string]query.Selection{"series": one, "service": service} {
		b.ReportMetric(perCall(b, func() error {
			t, err := engine.Tree(ctx, "", view.Units, sel)
			if err == nil && t.Total() == 0 {
				err = fmt.Errorf("%s in %s: nothing found", name, where)
			}
			return err
		}), where+"-"+name+"-µs")
	}
	b.ReportMetric(perCall(b, func() error {
		values, err := query.LabelValues(ctx, view.Units, "pod", nil, profile.TimeRange{})
		if err == nil && len(values) != g.series {
			err = fmt.Errorf("%d values of %d", len(values), g.series)
		}
		return err
	}), where+"-labelvalues-µs")
}

// perCall runs fn for a while and returns the microseconds of a call.
func perCall(b *testing.B, fn func() error) float64 {
	b.Helper()
	require.NoError(b, fn()) // warms up
	calls, began := 0, cpuTime(b)
	for ; calls < 3 || cpuTime(b)-began < 50*time.Millisecond; calls++ {
		require.NoError(b, fn())
	}
	return float64((cpuTime(b) - began).Nanoseconds()) / 1000 / float64(calls)
}

// cpuTime returns what the process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// liveHeap returns the bytes in use after a garbage collection.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC() // the first one empties the pools into the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
