package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
)

const (
	cpuType = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
	// nodes is the size of the flame graphs asked for.
	nodes = 16384
	// leastRuns is how often a query is run at the least.
	leastRuns = 3
)

var errEmpty = errors.New("the answer is empty")

type query struct {
	name string
	run  func(ctx context.Context, c querierv1connect.QuerierServiceClient) error
}

// queries lists what is asked about a plan, about the last of its span.
func queries(p *plan) []query {
	end := p.end + p.interval.Milliseconds()
	var (
		all = "{}"
		one = fmt.Sprintf("{service_name=%q}", service(0))
		row = fmt.Sprintf("{service_name=%q,pod=%q}", service(0), pod(0))
	)
	start := func(length time.Duration) (int64, string) {
		length = min(length, p.span)
		return p.end - length.Milliseconds(), fmt.Sprintf("%gh", length.Hours())
	}
	graph := func(name, selector string, length time.Duration) query {
		from, text := start(length)
		return query{fmt.Sprintf("flame graph, %s, %s", name, text), func(ctx context.Context, c querierv1connect.QuerierServiceClient) error {
			limit := int64(nodes)
			res, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
				ProfileTypeID: cpuType, LabelSelector: selector, Start: from, End: end, MaxNodes: &limit,
			}))
			if err == nil && res.Msg.Flamegraph.GetTotal() == 0 {
				err = errEmpty
			}
			return err
		}}
	}
	from6, text6 := start(6 * time.Hour)
	from24, text24 := start(24 * time.Hour)
	return []query{
		graph("one series", row, time.Hour),
		graph("one service", one, 6*time.Hour),
		graph("all services", all, 24*time.Hour),
		{"merged profile, one service, " + text6, func(ctx context.Context, c querierv1connect.QuerierServiceClient) error {
			res, err := c.SelectMergeProfile(ctx, connect.NewRequest(&querierv1.SelectMergeProfileRequest{ProfileTypeID: cpuType, LabelSelector: one, Start: from6, End: end}))
			if err == nil && len(res.Msg.GetSample()) == 0 {
				err = errEmpty
			}
			return err
		}},
		{"time series by service, " + text24, func(ctx context.Context, c querierv1connect.QuerierServiceClient) error {
			res, err := c.SelectSeries(ctx, connect.NewRequest(&querierv1.SelectSeriesRequest{
				ProfileTypeID: cpuType, LabelSelector: all, Start: from24, End: end, Step: 60, GroupBy: []string{"service_name"},
			}))
			if err == nil && len(res.Msg.Series) == 0 {
				err = errEmpty
			}
			return err
		}},
	}
}

// ask runs all queries for a while each and notes the server's CPU time and
// the median latency of one.
func ask(ctx context.Context, o *options, s *server, p *plan, where string, r *result) error {
	c := querierv1connect.NewQuerierServiceClient(client, s.url, connect.WithReadMaxBytes(1<<30))
	for _, q := range queries(p) {
		cpu, median, err := repeat(ctx, o, s, func() error { return q.run(ctx, c) })
		if err != nil {
			return fmt.Errorf("%s, from %s: %w", q.name, where, err)
		}
		r.add(fmt.Sprintf("%s, %s: CPU", q.name, where), "ms", cpu)
		r.add(fmt.Sprintf("%s, %s: median", q.name, where), "ms", median)
	}
	return nil
}

func repeat(ctx context.Context, o *options, s *server, run func() error) (cpu, median float64, err error) {
	if err := run(); err != nil { // warms up
		return 0, 0, err
	}
	var times []time.Duration
	before, began := cpuTime(s.pid()), time.Now()
	for len(times) < leastRuns || time.Since(began) < o.minTime {
		start := time.Now()
		if err := run(); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return millis(cpuTime(s.pid())-before) / float64(len(times)), percentile(times, 50), ctx.Err()
}

// percentile returns the smallest of the sorted times that is not below p
// percent of all, in milliseconds.
func percentile(times []time.Duration, p int) float64 {
	if len(times) == 0 {
		return 0
	}
	return millis(times[max(0, (len(times)*p+99)/100-1)])
}

func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// total returns the sum of all CPU profiles of a plan that the server has.
func total(ctx context.Context, s *server, p *plan) (int64, error) {
	c := querierv1connect.NewQuerierServiceClient(client, s.url)
	res, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: "{}", Start: p.end - p.span.Milliseconds(), End: p.end + p.interval.Milliseconds(),
	}))
	if err != nil {
		return 0, fmt.Errorf("total: %w", err)
	}
	return res.Msg.Flamegraph.GetTotal(), nil
}
