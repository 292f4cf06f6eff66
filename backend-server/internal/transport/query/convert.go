package query

import (
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flamegraph"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

func toFlameGraph(g *flamegraph.Graph) *querierv1.FlameGraph {
	return &querierv1.FlameGraph{Names: wire.Texts(g.Names), Levels: toLevels(g.Levels), Total: g.Total, MaxSelf: g.MaxSelf}
}

func toFlameGraphDiff(g *flamegraph.DiffGraph) *querierv1.FlameGraphDiff {
	return &querierv1.FlameGraphDiff{
		Names:      wire.Texts(g.Names),
		Levels:     toLevels(g.Levels),
		Total:      g.Total,
		MaxSelf:    g.MaxSelf,
		LeftTicks:  g.LeftTotal,
		RightTicks: g.RightTotal,
	}
}

func toLevels(levels [][]int64) []*querierv1.Level {
	out := make([]*querierv1.Level, len(levels))
	for i, values := range levels {
		out[i] = &querierv1.Level{Values: values}
	}
	return out
}

func toSeries(all []series.Series) []*typesv1.Series {
	out := make([]*typesv1.Series, len(all))
	for i, s := range all {
		points := make([]typesv1.Point, len(s.Points))
		refs := make([]*typesv1.Point, len(s.Points))
		for j, p := range s.Points {
			points[j].Value, points[j].Timestamp = p.Value, int64(p.Time)
			refs[j] = &points[j]
		}
		out[i] = &typesv1.Series{Labels: wire.FromLabels(s.Labels), Points: refs}
	}
	return out
}
