package datasource

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/pkg/frames"
	"github.com/hearth-profiles/hearth/pkg/upstream"
)

const (
	// minStep is the finest step of a series: profiles rarely come more often.
	minStep = 15 * time.Second
	// maxParallel is how many calls to the server one request makes at once.
	maxParallel = 8
)

// What a query asks for.
const (
	typeFlameGraph = "flamegraph"
	typeSeries     = "series"
	typeBoth       = "both"
)

// model is the query as the editor saves it.
type model struct {
	QueryType     string   `json:"queryType"`
	ProfileTypeID string   `json:"profileTypeId"`
	LabelSelector string   `json:"labelSelector"`
	GroupBy       []string `json:"groupBy"`
	MaxNodes      int64    `json:"maxNodes"`
	Limit         int64    `json:"limit"`
}

// QueryData answers all queries of a panel.
func (d *DataSource) QueryData(ctx context.Context, req *backend.QueryDataRequest) (*backend.QueryDataResponse, error) {
	var (
		response = backend.NewQueryDataResponse()
		mu       sync.Mutex // guards response
		group    errgroup.Group
	)
	group.SetLimit(maxParallel)
	for _, q := range req.Queries {
		group.Go(func() error {
			answer := d.answer(ctx, q)
			mu.Lock()
			defer mu.Unlock()
			response.Responses[q.RefID] = answer
			return nil
		})
	}
	return response, group.Wait()
}

func (d *DataSource) answer(ctx context.Context, q backend.DataQuery) backend.DataResponse {
	m, err := parse(q)
	if err != nil {
		return failure(err)
	}
	client, err := d.conn.Client(ctx)
	if err != nil {
		return failure(err)
	}
	found, err := run(ctx, client, m, q)
	if err != nil {
		return failure(err)
	}
	return backend.DataResponse{Frames: found, Status: backend.StatusOK}
}

// parse reads the model; the type that Grafana sends beside it wins.
func parse(q backend.DataQuery) (model, error) {
	m := model{QueryType: typeBoth}
	if err := json.Unmarshal(q.JSON, &m); err != nil {
		return model{}, upstream.Invalid("query %s cannot be read: %s", q.RefID, err)
	}
	if q.QueryType != "" {
		m.QueryType = q.QueryType
	}
	switch m.QueryType {
	case typeFlameGraph, typeSeries, typeBoth:
	default:
		return model{}, upstream.Invalid("queryType=%q must be %s, %s or %s", m.QueryType, typeFlameGraph, typeSeries, typeBoth)
	}
	switch {
	case m.ProfileTypeID == "":
		return model{}, upstream.Invalid("profileTypeId is required: choose a profile type")
	case m.MaxNodes < 0:
		return model{}, upstream.Invalid("maxNodes=%d must not be negative", m.MaxNodes)
	case m.Limit < 0:
		return model{}, upstream.Invalid("limit=%d must not be negative", m.Limit)
	}
	return m, nil
}

// run asks the server, for both parts side by side where both are wanted.
func run(ctx context.Context, client *upstream.Client, m model, q backend.DataQuery) (data.Frames, error) {
	query := upstream.Query{
		ProfileType: m.ProfileTypeID,
		Selector:    upstream.Selector("", m.LabelSelector),
		Range:       upstream.Range{From: q.TimeRange.From.UnixMilli(), Until: q.TimeRange.To.UnixMilli()},
		MaxNodes:    m.MaxNodes,
	}
	var flame *data.Frame
	var series data.Frames
	group, ctx := errgroup.WithContext(ctx)
	if m.QueryType != typeSeries {
		group.Go(func() (err error) {
			flame, err = flameFrame(ctx, client, query)
			return err
		})
	}
	if m.QueryType != typeFlameGraph {
		group.Go(func() error {
			found, err := client.Series(ctx, upstream.SeriesQuery{
				Query: query, StepSeconds: stepSeconds(q.Interval), GroupBy: m.GroupBy, Limit: m.Limit,
			})
			series = frames.Series(found, m.ProfileTypeID)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if flame != nil {
		return append(data.Frames{flame}, series...), nil
	}
	return series, nil
}

func flameFrame(ctx context.Context, client *upstream.Client, q upstream.Query) (*data.Frame, error) {
	g, err := client.FlameGraph(ctx, q)
	if err != nil {
		return nil, err
	}
	return frames.FlameGraph(g, q.ProfileType)
}

// stepSeconds is the panel's interval in whole milliseconds, at least minStep.
func stepSeconds(interval time.Duration) float64 {
	return math.Round(max(interval, minStep).Seconds()*1000) / 1000
}

func failure(err error) backend.DataResponse {
	e := upstream.AsError(err)
	source := backend.ErrorSourcePlugin
	if e.Downstream() {
		source = backend.ErrorSourceDownstream
	}
	return backend.ErrDataResponseWithSource(backend.Status(e.Status), source, e.Message)
}
