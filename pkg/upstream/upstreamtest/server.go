// Package upstreamtest is a profiling server for tests: the real wire over
// HTTP, with answers that a test writes as plain structs.
package upstreamtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// Server answers with what its fields say. Set them before the first request.
type Server struct {
	URL         string
	Application string // as the build information names it
	NotReady    bool
	Fail        *connect.Error // every RPC fails with it, if set

	Types  []upstream.ProfileType
	Sets   []map[string]string // label sets of Series
	Labels map[string][]string // label names and their values
	Flame  upstream.FlameGraph
	Series []upstream.Series

	mu     sync.Mutex
	header http.Header // of the last request
	last   any         // the last request message; guarded by mu
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	s := &Server{Application: "hearth"}
	mux := http.NewServeMux()
	mux.Handle(querierv1connect.NewQuerierServiceHandler(&rpc{s: s}))
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if s.NotReady {
			http.Error(w, "replaying the log", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /api/v1/status/buildinfo", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"application":%q,"version":"1.2.3"}}`, s.Application)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.header = r.Header.Clone()
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Header returns the header of the last request.
func (s *Server) Header() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header
}

// LastQuery returns the last flame graph or series query that was received.
func (s *Server) LastQuery() upstream.SeriesQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m := s.last.(type) {
	case *querierv1.SelectMergeStacktracesRequest:
		return upstream.SeriesQuery{Query: upstream.Query{
			ProfileType: m.ProfileTypeID, Selector: m.LabelSelector, MaxNodes: m.GetMaxNodes(),
			Range: upstream.Range{From: m.Start, Until: m.End},
		}}
	case *querierv1.SelectSeriesRequest:
		return upstream.SeriesQuery{
			Query: upstream.Query{
				ProfileType: m.ProfileTypeID, Selector: m.LabelSelector, Range: upstream.Range{From: m.Start, Until: m.End},
			},
			StepSeconds: m.Step, GroupBy: m.GroupBy, Limit: m.GetLimit(),
		}
	default:
		return upstream.SeriesQuery{}
	}
}

type rpc struct {
	querierv1connect.UnimplementedQuerierServiceHandler
	s *Server
}

func answer[T any](s *Server, request any, build func() *T) (*connect.Response[T], error) {
	s.mu.Lock()
	s.last = request
	s.mu.Unlock()
	if s.Fail != nil {
		return nil, s.Fail
	}
	return connect.NewResponse(build()), nil
}

func (r *rpc) ProfileTypes(_ context.Context, req *connect.Request[querierv1.ProfileTypesRequest]) (*connect.Response[querierv1.ProfileTypesResponse], error) {
	return answer(r.s, req.Msg, func() *querierv1.ProfileTypesResponse {
		res := &querierv1.ProfileTypesResponse{}
		for _, t := range r.s.Types {
			res.ProfileTypes = append(res.ProfileTypes, &typesv1.ProfileType{
				ID: t.ID, Name: t.Name, SampleType: t.SampleType, SampleUnit: t.SampleUnit, PeriodType: t.PeriodType, PeriodUnit: t.PeriodUnit,
			})
		}
		return res
	})
}

func (r *rpc) LabelNames(_ context.Context, req *connect.Request[typesv1.LabelNamesRequest]) (*connect.Response[typesv1.LabelNamesResponse], error) {
	return answer(r.s, req.Msg, func() *typesv1.LabelNamesResponse {
		res := &typesv1.LabelNamesResponse{}
		for name := range r.s.Labels {
			res.Names = append(res.Names, name)
		}
		return res
	})
}

func (r *rpc) LabelValues(_ context.Context, req *connect.Request[typesv1.LabelValuesRequest]) (*connect.Response[typesv1.LabelValuesResponse], error) {
	return answer(r.s, req.Msg, func() *typesv1.LabelValuesResponse {
		return &typesv1.LabelValuesResponse{Names: r.s.Labels[req.Msg.Name]}
	})
}

func (r *rpc) Series(_ context.Context, req *connect.Request[querierv1.SeriesRequest]) (*connect.Response[querierv1.SeriesResponse], error) {
	return answer(r.s, req.Msg, func() *querierv1.SeriesResponse {
		res := &querierv1.SeriesResponse{}
		for _, set := range r.s.Sets {
			res.LabelsSet = append(res.LabelsSet, &typesv1.Labels{Labels: pairs(set)})
		}
		return res
	})
}

func (r *rpc) SelectMergeStacktraces(_ context.Context, req *connect.Request[querierv1.SelectMergeStacktracesRequest]) (*connect.Response[querierv1.SelectMergeStacktracesResponse], error) {
	return answer(r.s, req.Msg, func() *querierv1.SelectMergeStacktracesResponse {
		f := r.s.Flame
		if len(f.Levels) == 0 {
			return &querierv1.SelectMergeStacktracesResponse{}
		}
		g := &querierv1.FlameGraph{Names: f.Names, Total: f.Total, MaxSelf: f.MaxSelf}
		for _, l := range f.Levels {
			g.Levels = append(g.Levels, &querierv1.Level{Values: l})
		}
		return &querierv1.SelectMergeStacktracesResponse{Flamegraph: g}
	})
}

func (r *rpc) SelectSeries(_ context.Context, req *connect.Request[querierv1.SelectSeriesRequest]) (*connect.Response[querierv1.SelectSeriesResponse], error) {
	return answer(r.s, req.Msg, func() *querierv1.SelectSeriesResponse {
		res := &querierv1.SelectSeriesResponse{}
		for _, s := range r.s.Series {
			out := &typesv1.Series{Labels: pairs(s.Labels)}
			for _, p := range s.Points {
				out.Points = append(out.Points, &typesv1.Point{Timestamp: p.Time, Value: p.Value})
			}
			res.Series = append(res.Series, out)
		}
		return res
	})
}

func pairs(m map[string]string) []*typesv1.LabelPair {
	var out []*typesv1.LabelPair
	for name, value := range m {
		out = append(out, &typesv1.LabelPair{Name: name, Value: value})
	}
	return out
}
