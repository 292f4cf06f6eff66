package query_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	"github.com/prometheus/prometheus/model/labels"

	dbquery "github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flamegraph"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/query"
)

const cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

var now = time.UnixMilli(1_700_000_000_000)

// fake answers everything from a fixture and notes what it was asked.
type fake struct {
	mu        sync.Mutex // render asks several questions at once
	err       error
	panics    bool
	saturated bool
	empty     bool
	profile   request.Profile
	right     request.Profile
	functions request.Functions
	series    []request.Series
	labels    request.Labels
	names     []string
	text      string
}

var _ query.Frontend = (*fake)(nil)

func (f *fake) Tree(_ context.Context, req request.Profile) (*tree.Tree, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("boom")
	}
	f.profile = req
	t := tree.New()
	if !f.empty {
		main := t.Child(tree.Root, t.Name("main"))
		t.Add(main, 1)
		t.Add(t.Child(main, t.Name("a")), 3)
		t.Add(t.Child(t.Child(main, t.Name("b\xff")), t.Name("c")), 2)
	}
	t.Saturated = f.saturated
	return t, f.err
}

func (f *fake) Functions(ctx context.Context, req request.Functions) (*dbquery.TopFunctions, error) {
	t, err := f.Tree(ctx, req.Profile)
	if err != nil {
		return nil, err
	}
	f.functions = req
	sums := dbquery.FunctionSums{Total: t.Total(), Saturated: f.saturated, Functions: t.Functions()}
	return sums.Top(2, req.Sort == "self"), nil
}

func (f *fake) Diff(ctx context.Context, left, right request.Profile) (*flamegraph.DiffGraph, error) {
	l, err := f.Tree(ctx, left)
	if err != nil {
		return nil, err
	}
	f.right = right
	return flamegraph.Diff(l, tree.New(), 0)
}

func (f *fake) Profile(_ context.Context, req request.Profile) (*profile.Profile, error) {
	f.profile = req
	return &profile.Profile{
		Types:         []profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
		PeriodType:    profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Period:        1e9,
		TimeNanos:     7,
		DurationNanos: 8,
		Strings:       []string{"", "unused", "main", "main.go", "bin"},
		Mappings:      []profile.Mapping{{}, {File: 1}, {Start: 1, Limit: 9, Offset: 2, File: 4, HasFunctions: true}},
		Functions:     []profile.Function{{Name: 1}, {Name: 2, SystemName: 2, Filename: 3, StartLine: 5}},
		Lines:         []profile.Line{{Function: 0}, {Function: 1, Line: 6}, {Function: 1, Line: 7}},
		Locations:     []profile.Location{{Mapping: 1, LineEnd: 1}, {Mapping: 2, Address: 3, LineStart: 1, LineEnd: 3}},
		Frames:        []uint32{1, 1},
		Samples:       []profile.Sample{{FrameStart: 0, FrameEnd: 2}, {}},
		Values:        []int64{4, 5},
	}, f.err
}

func (f *fake) Series(_ context.Context, req request.Series) ([]series.Series, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if req.Start > req.End { // what a Frontend refuses need not be looked for at the edge
		return nil, fault.New(fault.Invalid, "start %d is after end %d", req.Start, req.End)
	}
	f.series = append(f.series, req)
	if f.empty {
		return nil, f.err
	}
	ls := labels.EmptyLabels()
	if len(req.GroupBy) > 0 {
		ls = labels.FromStrings(req.GroupBy[0], "x")
	}
	return []series.Series{{Labels: ls, Points: []series.Point{{Time: req.Start, Value: 1.5}, {Time: req.Start + 15_000, Value: 2}}}}, f.err
}

func (f *fake) ProfileTypes(_ context.Context, req request.Labels) ([]profile.Type, error) {
	f.labels = req
	if f.empty {
		return nil, f.err
	}
	t, err := profile.ParseType(cpu)
	return []profile.Type{t}, err
}

func (f *fake) LabelNames(_ context.Context, req request.Labels) ([]string, error) {
	f.labels = req
	return []string{"a", "b.c", "d"}, f.err
}

func (f *fake) LabelValues(_ context.Context, name string, req request.Labels) ([]string, error) {
	f.text, f.labels = name, req
	return []string{"v", "w\xff"}, f.err
}

func (f *fake) LabelSets(_ context.Context, names []string, req request.Labels) ([]labels.Labels, error) {
	f.names, f.labels = names, req
	return []labels.Labels{labels.FromStrings("a", "1", "b.c", "2"), labels.FromStrings("a", "1", "b.c", "3")}, f.err
}

func (f *fake) DataStats(context.Context) (dbquery.Stats, error) {
	return dbquery.Stats{Ingested: true, Oldest: 5, Newest: 6}, f.err
}

func (f *fake) Analyze(_ context.Context, text string, req request.Labels) (dbquery.Impact, error) {
	f.text, f.labels = text, req
	return dbquery.Impact{Series: 1, Profiles: 2, Samples: 3, Bytes: 4}, f.err
}

// serve starts a server with HTTP/2 and the handler's routes.
func serve(t testing.TB) (*fake, *httptest.Server) {
	f := &fake{}
	mux := http.NewServeMux()
	for pattern, handler := range query.New(f, slog.New(slog.DiscardHandler), func() time.Time { return now }).Routes() {
		mux.Handle(pattern, handler)
	}
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return f, s
}

// eachProtocol runs a test with a generated client of every protocol and
// encoding.
func eachProtocol(t *testing.T, test func(t *testing.T, f *fake, c querierv1connect.QuerierServiceClient)) {
	protocols := map[string][]connect.ClientOption{
		"connect proto": nil,
		"connect JSON":  {connect.WithProtoJSON()},
		"connect gzip":  {connect.WithSendGzip()},
		"gRPC":          {connect.WithGRPC()},
		"gRPC-Web":      {connect.WithGRPCWeb()},
		"gRPC-Web JSON": {connect.WithGRPCWeb(), connect.WithProtoJSON()},
	}
	order := make([]string, 0, len(protocols))
	for name := range protocols {
		order = append(order, name)
	}
	slices.Sort(order)
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			f, s := serve(t)
			test(t, f, querierv1connect.NewQuerierServiceClient(s.Client(), s.URL, protocols[name]...))
		})
	}
}
