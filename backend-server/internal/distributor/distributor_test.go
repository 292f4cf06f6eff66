package distributor

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	google "github.com/google/pprof/profile"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// now is the time of all tests.
var now = time.UnixMilli(1_800_000_000_000)

// stored is a record without what lies in the decoder's memory.
type stored struct {
	tenant string
	id     uint64
	labels string
	time   profile.UnixMilli
	values []int64
}

// store is an ingester that keeps everything. With fail it fails records of
// which the labels contain the key.
type store struct {
	mu   sync.Mutex
	recs []stored
	fail map[string]error
}

func (s *store) Push(_ context.Context, tenantID string, recs []profile.Record) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, len(recs))
	for i, r := range recs {
		text := strings.Clone(r.Labels.String())
		for key, err := range s.fail {
			if strings.Contains(text, key) {
				errs[i] = err
			}
		}
		if errs[i] != nil {
			continue
		}
		width := len(r.Profile.Types)
		s.recs = append(s.recs, stored{tenantID, r.ID, text, r.Time, append([]int64(nil), r.Profile.Values[r.SampleStart*width:r.SampleEnd*width]...)})
	}
	return errs
}

type fixture struct {
	*Distributor
	store *store
	reg   *prometheus.Registry
	ctx   context.Context
}

func newFixture(t *testing.T, change func(*Config, *Limits)) *fixture {
	t.Helper()
	var cfg Config
	var limits Limits
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	cfg.RegisterFlags(fs)
	limits.RegisterFlags(fs)
	require.NoError(t, fs.Parse(nil))
	if change != nil {
		change(&cfg, &limits)
	}
	require.Empty(t, append(cfg.Validate(), limits.Validate()...))
	f := &fixture{store: &store{}, reg: prometheus.NewRegistry(), ctx: tenant.With(t.Context(), "t")}
	f.Distributor = New(cfg, limits, f.store, f.reg, slog.New(slog.DiscardHandler))
	f.Distributor.now = func() time.Time { return now }
	return f
}

func (f *fixture) push(t *testing.T, series ...upload.Series) upload.Result {
	t.Helper()
	res, err := f.Push(f.ctx, series)
	require.NoError(t, err)
	return res
}

// pb encodes a profile with a sample for each of the label sets, taken at the
// given time.
func pb(at time.Time, sets ...map[string][]string) []byte {
	fn := &google.Function{ID: 1, Name: "main.main"}
	loc := &google.Location{ID: 1, Line: []google.Line{{Function: fn}}}
	p := &google.Profile{
		SampleType: []*google.ValueType{{Type: "cpu", Unit: "nanoseconds"}}, PeriodType: &google.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Function: []*google.Function{fn}, Location: []*google.Location{loc},
	}
	if !at.IsZero() {
		p.TimeNanos = at.UnixNano()
	}
	if len(sets) == 0 {
		sets = []map[string][]string{nil}
	}
	for i, set := range sets {
		p.Sample = append(p.Sample, &google.Sample{Location: []*google.Location{loc}, Value: []int64{int64(i + 1)}, Label: set})
	}
	return write(p)
}

func write(p *google.Profile) []byte {
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		panic(err) // writing to memory does not fail
	}
	return b.Bytes()
}

func pairs(kv ...string) []profile.LabelPair {
	var out []profile.LabelPair
	for i := 0; i < len(kv); i += 2 {
		out = append(out, profile.LabelPair{Name: kv[i], Value: kv[i+1]})
	}
	return out
}

func series(data []byte, kv ...string) upload.Series {
	return upload.Series{Labels: pairs(kv...), Profiles: []upload.Profile{{Data: data}}}
}

func TestPushStoresWhatIsGood(t *testing.T) {
	f := newFixture(t, nil)
	good := pb(now)
	mixed := series(good, "__name__", "process_cpu", "service_name", "a")
	mixed.Profiles = append(mixed.Profiles, upload.Profile{Data: []byte("junk")}, upload.Profile{Data: pb(now.Add(-time.Second))})
	res := f.push(t, mixed,
		series(good, "service_name", "nameless"),
		series(good, "__name__", "memory", "service_name", "b"),
		upload.Series{Labels: pairs("__name__", "x")},
	)
	require.Equal(t, 5, res.Received)
	require.Equal(t, 3, res.Stored)
	require.Len(t, f.store.recs, 3)
	require.Equal(t, "t", f.store.recs[0].tenant)
	require.Equal(t, profile.UnixMilli(now.UnixMilli()), f.store.recs[0].time)
	err := res.Err()
	require.Equal(t, fault.Invalid, fault.KindOf(err))
	require.ErrorContains(t, err, "3 of 5 profiles were stored; refused: ")
	require.ErrorContains(t, err, `series 0 {__name__="process_cpu", service_name="a"}, profile 1: no pprof profile: byte 0`)
	require.ErrorContains(t, err, `series 1 {service_name="nameless"}: invalid metric name`)
	require.ErrorContains(t, err, `series 3 {__name__="x"}: the series has no samples`)
	require.NoError(t, testutil.GatherAndCompare(f.reg, strings.NewReader(`
# HELP hearth_discarded_profiles_total Profiles refused.
# TYPE hearth_discarded_profiles_total counter
hearth_discarded_profiles_total{reason="invalid_labels"} 1
hearth_discarded_profiles_total{reason="malformed_profile"} 2
# HELP hearth_distributor_received_profiles_total Profiles taken in.
# TYPE hearth_distributor_received_profiles_total counter
hearth_distributor_received_profiles_total{type="memory"} 1
hearth_distributor_received_profiles_total{type="process_cpu"} 2
`), "hearth_discarded_profiles_total", "hearth_distributor_received_profiles_total"))
}

func TestPushRefusesUploads(t *testing.T) {
	f := newFixture(t, nil)
	_, err := f.Push(f.ctx, nil)
	require.ErrorContains(t, err, "no series")
	require.Equal(t, fault.Invalid, fault.KindOf(err))
	_, err = f.Push(t.Context(), []upload.Series{series(pb(now))})
	require.Equal(t, fault.Unauthenticated, fault.KindOf(err))
}

func TestIngesterErrors(t *testing.T) {
	f := newFixture(t, nil)
	f.store.fail = map[string]error{`"full"`: fault.New(fault.Unavailable, "disk is full"), `"bad"`: fault.New(fault.Invalid, "bad")}
	res := f.push(t, series(pb(now), "__name__", "n", "service_name", "ok"), series(pb(now), "__name__", "n", "service_name", "bad"),
		series(pb(now, nil, map[string][]string{"a": {"full"}}), "__name__", "n"))
	require.Equal(t, 1, res.Stored)
	require.Equal(t, fault.Unavailable, fault.KindOf(res.Err()), "a client should try again")
	require.ErrorContains(t, res.Err(), "disk is full")

	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	res, err := f.Push(ctx, []upload.Series{series(pb(now), "__name__", "n")})
	require.NoError(t, err)
	require.True(t, errors.Is(res.Err(), context.Canceled))
}

func TestIdentity(t *testing.T) {
	f := newFixture(t, nil)
	labels := []string{"__name__", "process_cpu", "service_name", "a"}
	one := func(s upload.Series, tenantID string) uint64 {
		t.Helper()
		n := len(f.store.recs)
		res, err := f.Push(tenant.With(f.ctx, tenantID), []upload.Series{s})
		require.NoError(t, err)
		require.NoError(t, res.Err())
		require.Len(t, f.store.recs, n+1)
		return f.store.recs[n].id
	}
	gz := pb(now)
	first := one(series(gz, labels...), "t")
	require.Equal(t, first, one(series(gz, labels...), "t"), "the same again")
	require.Equal(t, first, one(series(gz, "service_name", "a", "__name__", "process_cpu", "empty", ""), "t"), "order and empty labels do not matter")
	plain := func() []byte {
		p, err := google.ParseData(gz)
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, p.WriteUncompressed(&b))
		return b.Bytes()
	}()
	require.Equal(t, first, one(series(plain, labels...), "t"), "compression does not matter")

	others := map[string]uint64{
		"tenant":  one(series(gz, labels...), "u"),
		"labels":  one(series(gz, "__name__", "process_cpu", "service_name", "b"), "t"),
		"time":    one(series(pb(now.Add(time.Millisecond)), labels...), "t"),
		"content": one(series(pb(now, map[string][]string{"span_id": {"0000000000000001"}}), labels...), "t"),
		"client":  one(upload.Series{Labels: pairs(labels...), Profiles: []upload.Profile{{Data: gz, ID: "x"}}}, "t"),
		"no time": one(series(pb(time.Time{}), labels...), "t"),
		"again":   one(series(pb(time.Time{}), labels...), "t"),
	}
	seen := map[uint64]string{first: "first"}
	for what, id := range others {
		require.Empty(t, seen[id], what)
		seen[id] = what
	}
	require.Equal(t, profile.UnixMilli(now.UnixMilli()), f.store.recs[len(f.store.recs)-1].time, "a profile without time gets that of receipt")

	from := upload.Series{Labels: pairs(labels...), Profiles: []upload.Profile{{Data: pb(time.Time{}), Time: profile.UnixMilli(now.UnixMilli() - 5)}}}
	require.Equal(t, one(from, "t"), one(from, "t"), "a time from the request is a time")
	require.Equal(t, profile.UnixMilli(now.UnixMilli()-5), f.store.recs[len(f.store.recs)-1].time)
}

func TestSampleLabels(t *testing.T) {
	f := newFixture(t, func(_ *Config, l *Limits) { l.MaxLabelNames = 3 })
	data := pb(now, nil,
		map[string][]string{"method": {"GET"}, "service_name": {"other"}, "__type__": {"x"}},
		map[string][]string{"a": {"1"}, "b": {"2"}, "c": {"3"}},
		map[string][]string{"long": {strings.Repeat("x", 3000)}},
		map[string][]string{"span_id": {"0000000000000001"}},
		map[string][]string{"method": {"GET"}, "pod": {"q"}})
	res := f.push(t, series(data, "__name__", "process_cpu", "service_name", "a", "pod", "p"))
	require.NoError(t, res.Err())
	require.Equal(t, 1, res.Stored)
	base := `{__name__="process_cpu", pod="p", service_name="a"}`
	// Where labels are left out, what remains may be the same; then it is one
	// profile, or its running totals would be compared with each other.
	want := []stored{
		{labels: base, values: []int64{1, 5, 3, 4}},
		{labels: `{__name__="process_cpu", method="GET", pod="p", service_name="a"}`, values: []int64{2, 6}},
	}
	require.Len(t, f.store.recs, len(want))
	for i, r := range f.store.recs {
		require.Equal(t, want[i].labels, r.labels)
		require.Equal(t, want[i].values, r.values)
	}
	first := f.store.recs
	f.store.recs = nil
	f.push(t, series(data, "__name__", "process_cpu", "service_name", "a", "pod", "p"))
	require.Equal(t, first, f.store.recs, "a retry has the same IDs")
}

func TestNameFromTypes(t *testing.T) {
	f := newFixture(t, nil)
	s := series(pb(now), "service_name", "a")
	s.Name = func(types []profile.ValueType) string { return "from_" + types[0].Type }
	named := series(pb(now), "service_name", "a", "__name__", "given")
	named.Name = s.Name
	res := f.push(t, s, named)
	require.NoError(t, res.Err())
	require.Equal(t, `{__name__="from_cpu", service_name="a"}`, f.store.recs[0].labels)
	require.Equal(t, `{__name__="given", service_name="a"}`, f.store.recs[1].labels)
}

func TestRateLimit(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Limits) { c.RateMB, c.BurstMB = 0.001, 0.001 })
	s := series(pb(now), "__name__", "n")
	s.Profiles[0].Data = append(pb(now), make([]byte, 5000)...) // over the burst, and junk
	_, err := f.Push(f.ctx, []upload.Series{s})
	require.NoError(t, err, "one large request passes")
	_, err = f.Push(f.ctx, []upload.Series{s})
	require.Equal(t, fault.Exhausted, fault.KindOf(err))
	require.Equal(t, "rate_limited", fault.ReasonOf(err))
	var retry *upload.RetryError
	require.ErrorAs(t, err, &retry)
	require.Equal(t, time.Second, retry.After)
	_, err = f.Push(tenant.With(f.ctx, "other"), []upload.Series{s})
	require.NoError(t, err)
	f.Distributor.now = func() time.Time { return now.Add(time.Second) }
	_, err = f.Push(f.ctx, []upload.Series{s})
	require.NoError(t, err)
}

func TestLargeUploadGoesInBatches(t *testing.T) {
	f := newFixture(t, nil)
	s := upload.Series{Labels: pairs("__name__", "n")}
	for i := range 2*maxPending + 3 {
		s.Profiles = append(s.Profiles, upload.Profile{Data: pb(now.Add(-time.Duration(i) * time.Millisecond))})
	}
	res := f.push(t, s)
	require.NoError(t, res.Err())
	require.Equal(t, len(s.Profiles), res.Stored)
	require.Len(t, f.store.recs, len(s.Profiles))
}

// TestConcurrentPushes shows that no push touches another one's memory: run it
// with -race.
func TestConcurrentPushes(t *testing.T) {
	f := newFixture(t, nil)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				set := map[string][]string{"worker": {fmt.Sprint(w)}, "turn": {fmt.Sprint(i)}}
				res, err := f.Push(f.ctx, []upload.Series{series(pb(now, set), "__name__", "n")})
				if err != nil || res.Err() != nil {
					t.Error(err, res.Err())
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, r := range f.store.recs {
		seen[r.labels] = true
	}
	require.Len(t, seen, 80)
	require.True(t, seen[labels.FromStrings("__name__", "n", "service_name", "unknown_service", "turn", "3", "worker", "2").String()])
}
