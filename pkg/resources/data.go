package resources

import (
	"context"

	"github.com/hearth-profiles/hearth/pkg/frames"
	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// uncutNodes is the most nodes that the API gives: function totals are
// computed from a graph of that size, so that cutting does not falsify them.
const uncutNodes = 1 << 20

func flameGraph(ctx context.Context, c *upstream.Client, p params) (any, error) {
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	g, err := c.FlameGraph(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := frames.Check(g); err != nil {
		return nil, err
	}
	return struct {
		Names   []string  `json:"names"`
		Levels  [][]int64 `json:"levels"`
		Total   int64     `json:"total"`
		MaxSelf int64     `json:"maxSelf"`
		Unit    string    `json:"unit"`
	}{g.Names, g.Levels, g.Total, g.MaxSelf, upstream.SampleUnit(q.ProfileType)}, nil
}

func functions(ctx context.Context, c *upstream.Client, p params) (any, error) {
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	q.MaxNodes = uncutNodes
	g, err := c.FlameGraph(ctx, q)
	if err != nil {
		return nil, err
	}
	table, err := frames.Functions(g)
	if err != nil {
		return nil, err
	}
	return struct {
		Functions []frames.Function `json:"functions"`
		Total     int64             `json:"total"`
		Unit      string            `json:"unit"`
	}{table, g.Total, upstream.SampleUnit(q.ProfileType)}, nil
}

type seriesJSON struct {
	Labels map[string]string `json:"labels"`
	Points [][2]float64      `json:"points"` // time in ms, value
}

func timeSeries(ctx context.Context, c *upstream.Client, p params) (any, error) {
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	step, err := p.step(q.Range)
	if err != nil {
		return nil, err
	}
	limit, err := p.integer("limit")
	if err != nil {
		return nil, err
	}
	found, err := c.Series(ctx, upstream.SeriesQuery{Query: q, StepSeconds: step, GroupBy: p.list("groupBy"), Limit: limit})
	if err != nil {
		return nil, err
	}
	out := struct {
		Series []seriesJSON `json:"series"`
		Step   float64      `json:"step"`
		Unit   string       `json:"unit"`
	}{make([]seriesJSON, 0, len(found)), step, upstream.SampleUnit(q.ProfileType)}
	for _, s := range found {
		points := make([][2]float64, 0, len(s.Points))
		for _, pt := range s.Points {
			points = append(points, [2]float64{float64(pt.Time), pt.Value})
		}
		out.Series = append(out.Series, seriesJSON{Labels: s.Labels, Points: points})
	}
	return out, nil
}
