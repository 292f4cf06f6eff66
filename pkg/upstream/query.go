package upstream

import (
	"context"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
)

// UnixMilli is a time in milliseconds since the epoch.
type UnixMilli = int64

// Range is a span of time, both ends included. The zero Range asks for
// everything where the API allows that.
type Range struct{ From, Until UnixMilli }

// ProfileType is one kind of profile, e.g. process_cpu:cpu:nanoseconds:cpu:nanoseconds.
type ProfileType struct {
	ID, Name, SampleType, SampleUnit, PeriodType, PeriodUnit string
}

// Service is a service name and the IDs of the profile types seen for it.
type Service struct {
	Name         string
	ProfileTypes []string
}

// Query selects profiles.
type Query struct {
	ProfileType string
	Selector    string
	Range       Range
	MaxNodes    int64 // 0 leaves the choice to the server
}

// FlameGraph is a merged call tree in the API's level encoding: four numbers
// a bar, offset from the end of the bar before, total, self, index into Names.
type FlameGraph struct {
	Names          []string
	Levels         [][]int64
	Total, MaxSelf int64
}

// SeriesQuery asks for values over time.
type SeriesQuery struct {
	Query
	StepSeconds float64
	GroupBy     []string
	Limit       int64 // 0 is unlimited
}

// Series is the values of one group.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a value at a grid time.
type Point struct {
	Time  UnixMilli
	Value float64
}

// ProfileTypes lists the profile types that have data in r.
func (c *Client) ProfileTypes(ctx context.Context, r Range) ([]ProfileType, error) {
	res, err := c.querier.ProfileTypes(ctx, connect.NewRequest(&querierv1.ProfileTypesRequest{Start: r.From, End: r.Until}))
	if err != nil {
		return nil, c.wireError(err)
	}
	types := make([]ProfileType, 0, len(res.Msg.ProfileTypes))
	for _, t := range res.Msg.ProfileTypes {
		types = append(types, ProfileType{
			ID: t.ID, Name: t.Name, SampleType: t.SampleType, SampleUnit: t.SampleUnit,
			PeriodType: t.PeriodType, PeriodUnit: t.PeriodUnit,
		})
	}
	slices.SortFunc(types, func(a, b ProfileType) int { return strings.Compare(a.ID, b.ID) })
	return types, nil
}

// LabelNames lists the names of the labels of the selected series, without
// those that the server keeps for itself (__*).
func (c *Client) LabelNames(ctx context.Context, selector string, r Range) ([]string, error) {
	res, err := c.querier.LabelNames(ctx, connect.NewRequest(&typesv1.LabelNamesRequest{
		Matchers: matchers(selector), Start: r.From, End: r.Until,
	}))
	if err != nil {
		return nil, c.wireError(err)
	}
	names := make([]string, 0, len(res.Msg.Names))
	for _, n := range res.Msg.Names {
		if !strings.HasPrefix(n, "__") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// LabelValues lists the values of one label of the selected series.
func (c *Client) LabelValues(ctx context.Context, name, selector string, r Range) ([]string, error) {
	res, err := c.querier.LabelValues(ctx, connect.NewRequest(&typesv1.LabelValuesRequest{
		Name: name, Matchers: matchers(selector), Start: r.From, End: r.Until,
	}))
	if err != nil {
		return nil, c.wireError(err)
	}
	values := make([]string, len(res.Msg.Names))
	copy(values, res.Msg.Names)
	slices.Sort(values)
	return values, nil
}

// Services lists the services that have data in r, by name.
func (c *Client) Services(ctx context.Context, r Range) ([]Service, error) {
	const service, profileType = "service_name", "__profile_type__"
	res, err := c.querier.Series(ctx, connect.NewRequest(&querierv1.SeriesRequest{
		LabelNames: []string{service, profileType}, Start: r.From, End: r.Until,
	}))
	if err != nil {
		return nil, c.wireError(err)
	}
	byName := map[string][]string{}
	for _, set := range res.Msg.LabelsSet {
		l := labelMap(set.Labels)
		if l[service] != "" && l[profileType] != "" {
			byName[l[service]] = append(byName[l[service]], l[profileType])
		}
	}
	services := make([]Service, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		types := byName[name]
		slices.Sort(types)
		services = append(services, Service{Name: name, ProfileTypes: slices.Compact(types)})
	}
	return services, nil
}

// FlameGraph merges the selected profiles. Without data the graph has no levels.
func (c *Client) FlameGraph(ctx context.Context, q Query) (FlameGraph, error) {
	req := &querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: q.ProfileType, LabelSelector: q.Selector, Start: q.Range.From, End: q.Range.Until,
	}
	if q.MaxNodes != 0 {
		req.MaxNodes = &q.MaxNodes
	}
	res, err := c.querier.SelectMergeStacktraces(ctx, connect.NewRequest(req))
	if err != nil {
		return FlameGraph{}, c.wireError(err)
	}
	g := res.Msg.Flamegraph
	out := FlameGraph{Names: []string{}, Levels: make([][]int64, 0, len(g.GetLevels())), Total: g.GetTotal(), MaxSelf: g.GetMaxSelf()}
	if len(g.GetNames()) > 0 {
		out.Names = g.Names
	}
	for _, level := range g.GetLevels() {
		out.Levels = append(out.Levels, level.GetValues())
	}
	return out, nil
}

// Series sums the selected profiles over time.
func (c *Client) Series(ctx context.Context, q SeriesQuery) ([]Series, error) {
	req := &querierv1.SelectSeriesRequest{
		ProfileTypeID: q.ProfileType, LabelSelector: q.Selector, Start: q.Range.From, End: q.Range.Until,
		GroupBy: q.GroupBy, Step: q.StepSeconds,
	}
	if q.Limit > 0 {
		req.Limit = &q.Limit
	}
	res, err := c.querier.SelectSeries(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, c.wireError(err)
	}
	out := make([]Series, 0, len(res.Msg.Series))
	for _, s := range res.Msg.Series {
		points := make([]Point, 0, len(s.Points))
		for _, p := range s.Points {
			points = append(points, Point{Time: p.Timestamp, Value: p.Value})
		}
		out = append(out, Series{Labels: labelMap(s.Labels), Points: points})
	}
	return out, nil
}

func labelMap(pairs []*typesv1.LabelPair) map[string]string {
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[p.Name] = p.Value
	}
	return m
}

func matchers(selector string) []string {
	if strings.TrimSpace(selector) == "" {
		return nil
	}
	return []string{selector}
}
