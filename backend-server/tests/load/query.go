package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
)

const cpuType = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

type query struct {
	name string
	run  func(ctx context.Context) error
}

// mix lists the queries: flame graphs, a merged profile and time series, over
// the last hour and the whole span.
func mix(o *options) []query {
	c := querierv1connect.NewQuerierServiceClient(http.DefaultClient, o.url, connect.WithReadMaxBytes(1<<30))
	end := o.end + o.interval.Milliseconds()
	one := fmt.Sprintf("{service_name=%q}", service(0))
	pod := fmt.Sprintf("{service_name=%q,pod=\"pod-0000\"}", service(0))
	var out []query
	for _, length := range []time.Duration{time.Hour, o.span} {
		start := o.end - min(length, o.span).Milliseconds()
		for _, s := range []struct{ name, selector string }{{"one series", pod}, {"one service", one}, {"all services", "{}"}} {
			nodes := int64(16384)
			out = append(out, query{fmt.Sprintf("flame graph, %s, %s", s.name, short(length)), func(ctx context.Context) error {
				res, err := c.SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
					ProfileTypeID: cpuType, LabelSelector: s.selector, Start: start, End: end, MaxNodes: &nodes,
				}))
				if err == nil && res.Msg.Flamegraph.GetTotal() == 0 {
					err = fmt.Errorf("the answer is empty")
				}
				return err
			}})
		}
		out = append(out, query{"merged profile, one service, " + short(length), func(ctx context.Context) error {
			_, err := c.SelectMergeProfile(ctx, connect.NewRequest(&querierv1.SelectMergeProfileRequest{ProfileTypeID: cpuType, LabelSelector: one, Start: start, End: end}))
			return err
		}}, query{"time series by service, " + short(length), func(ctx context.Context) error {
			_, err := c.SelectSeries(ctx, connect.NewRequest(&querierv1.SelectSeriesRequest{
				ProfileTypeID: cpuType, LabelSelector: "{}", Start: start, End: end, Step: 15, GroupBy: []string{"service_name"},
			}))
			return err
		}})
		if length == o.span {
			break
		}
	}
	return out
}

func short(d time.Duration) string { return fmt.Sprintf("%gh", d.Hours()) }

// leastRuns is how often a query is run at the least.
const leastRuns = 3

// repeat runs a query for a while and returns the server's CPU time and the
// median latency of a run, in milliseconds.
func repeat(ctx context.Context, o *options, q query) (cpu, median float64, err error) {
	if err := q.run(ctx); err != nil { // warms up
		return 0, 0, err
	}
	var times []time.Duration
	before, began := cpuTime(o.pid), time.Now()
	for len(times) < leastRuns || time.Since(began) < o.minTime {
		start := time.Now()
		if err := q.run(ctx); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(start))
	}
	return millis(cpuTime(o.pid)-before) / float64(len(times)), percentile(times, 50), nil
}

// percentile returns the smallest time that is not below p percent of all.
func percentile(times []time.Duration, p int) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return millis(times[(len(times)*p+99)/100-1])
}
