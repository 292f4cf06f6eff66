package query

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flamegraph"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// legacy serves one of the older GET endpoints: what fn returns, as JSON.
func (h *Handler) legacy(fn func(ctx context.Context, params url.Values) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		params, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			wire.WriteError(w, fault.New(fault.Invalid, "query string: %w", err))
			return
		}
		out, err := fn(r.Context(), params)
		if err != nil {
			wire.WriteError(w, err)
			return
		}
		wire.WriteJSON(w, http.StatusOK, out)
	})
}

// rendered is what the older endpoints answer with.
type rendered struct {
	Version     int                 `json:"version"`
	Flamebearer flamebearer         `json:"flamebearer"`
	Metadata    metadata            `json:"metadata"`
	Timeline    *timeline           `json:"timeline"`
	Groups      map[string]timeline `json:"groups"`
	LeftTicks   *int64              `json:"leftTicks,omitempty"`
	RightTicks  *int64              `json:"rightTicks,omitempty"`
}

type flamebearer struct {
	Names    []string  `json:"names"`
	Levels   [][]int64 `json:"levels"`
	NumTicks int64     `json:"numTicks"`
	MaxSelf  int64     `json:"maxSelf"`
}

type metadata struct {
	Format     string `json:"format"`
	SpyName    string `json:"spyName"`
	SampleRate int64  `json:"sampleRate"`
	Units      string `json:"units"`
	Name       string `json:"name"`
}

// timeline is a series with a value for every step, 0 where there is none.
type timeline struct {
	StartTime     int64           `json:"startTime"` // seconds
	Samples       []float64       `json:"samples"`
	DurationDelta int64           `json:"durationDelta"` // seconds
	Watermarks    map[int64]int64 `json:"watermarks"`
}

const formatVersion = 1

// render answers with a flame graph and the time series beside it.
func (h *Handler) render(ctx context.Context, params url.Values) (any, error) {
	if f := params.Get("format"); f != "" && f != "json" {
		return nil, fault.New(fault.Unimplemented, "format %q is not served; ask for json", f)
	}
	req, err := h.question(params, "query", "from", "until")
	if err != nil {
		return nil, err
	}
	over := request.Series{
		Profile:     req,
		StepSeconds: timelineStep(req.Start, req.End),
		Average:     params.Get("aggregation") == "average" || params.Get("aggregation") == "avg",
	}
	by := params["groupBy"]
	var t *tree.Tree
	var total, groups []series.Series
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		t, err = h.frontend.Tree(ctx, req)
		return err
	})
	g.Go(func() (err error) {
		total, err = h.frontend.Series(ctx, over)
		return err
	})
	g.Go(func() (err error) {
		if len(by) == 0 {
			return nil
		}
		grouped := over
		grouped.GroupBy = by
		if grouped.Limit, err = number(params, "limit"); err != nil {
			return err
		}
		groups, err = h.frontend.Series(ctx, grouped)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	graph := flamegraph.FromTree(t)
	out := rendered{
		Version:     formatVersion,
		Flamebearer: flamebearer{graph.Names, graph.Levels, graph.Total, graph.MaxSelf},
		Metadata:    describe("single", req.Type),
		Timeline:    &timeline{},
		Groups:      map[string]timeline{},
	}
	*out.Timeline = toTimeline(total, over)
	for _, s := range groups {
		values := make([]string, len(by))
		for i, name := range by {
			values[i] = s.Labels.Get(name)
		}
		out.Groups[strings.Join(values, ",")] = toTimeline([]series.Series{s}, over)
	}
	return out, nil
}

// renderDiff answers with the flame graph of a difference.
func (h *Handler) renderDiff(ctx context.Context, params url.Values) (any, error) {
	left, err := h.question(params, "leftQuery", "leftFrom", "leftUntil")
	if err != nil {
		return nil, err
	}
	right, err := h.question(params, "rightQuery", "rightFrom", "rightUntil")
	if err != nil {
		return nil, err
	}
	g, err := h.frontend.Diff(ctx, left, right)
	if err != nil {
		return nil, err
	}
	return rendered{
		Version:     formatVersion,
		Flamebearer: flamebearer{g.Names, g.Levels, g.Total, g.MaxSelf},
		Metadata:    describe("double", left.Type),
		LeftTicks:   &g.LeftTotal,
		RightTicks:  &g.RightTotal,
	}, nil
}

func (h *Handler) labelValues(ctx context.Context, params url.Values) (any, error) {
	req, err := h.labelParams(params)
	if err != nil {
		return nil, err
	}
	values, err := h.frontend.LabelValues(ctx, params.Get("label"), req)
	return list(values), err
}

func (h *Handler) labelNames(ctx context.Context, params url.Values) (any, error) {
	req, err := h.labelParams(params)
	if err != nil {
		return nil, err
	}
	names, err := h.frontend.LabelNames(ctx, req)
	return list(names), err
}

// list is values that are [] in JSON when there are none.
func list(values []string) []string { return append([]string{}, values...) }

func (h *Handler) labelParams(params url.Values) (request.Labels, error) {
	var out request.Labels
	for _, bound := range []struct {
		field string
		into  *profile.UnixMilli
	}{{"from", &out.Start}, {"until", &out.End}} {
		if err := h.timeParam(params, bound.field, bound.into); err != nil {
			return out, err
		}
	}
	if out.Start > 0 && out.End == 0 {
		out.End = profile.UnixMilli(h.now().UnixMilli())
	}
	if q := params.Get("query"); q != "" {
		out.Matchers = []string{q}
	}
	return out, nil
}

func (h *Handler) timeParam(params url.Values, field string, into *profile.UnixMilli) error {
	s := params.Get(field)
	if s == "" {
		return nil
	}
	t, err := wire.ParseTime(field, s, h.now())
	*into = profile.UnixMilli(t.UnixMilli())
	return err
}

// question reads a query, a profile type ID with a selector behind it, and its
// range, by default the last hour.
func (h *Handler) question(params url.Values, query, from, until string) (request.Profile, error) {
	text := params.Get(query)
	if text == "" {
		return request.Profile{}, fault.New(fault.Invalid, "%s is missing; it is a profile type with a selector, e.g. process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name=\"x\"}", query)
	}
	id, selector := text, ""
	if brace := strings.IndexByte(text, '{'); brace >= 0 {
		id, selector = text[:brace], text[brace:]
	}
	end := h.now()
	out := request.Profile{
		Type:     strings.TrimSpace(id),
		Selector: selector,
		Start:    profile.UnixMilli(end.Add(-defaultRange).UnixMilli()),
		End:      profile.UnixMilli(end.UnixMilli()),
	}
	if err := h.timeParam(params, from, &out.Start); err != nil {
		return out, err
	}
	if err := h.timeParam(params, until, &out.End); err != nil {
		return out, err
	}
	var err error
	if out.MaxNodes, err = number(params, "max-nodes", "maxNodes"); err != nil {
		return out, err
	}
	return out, nil
}

// number reads a whole number that may have several names; 0 if there is none.
func number(params url.Values, fields ...string) (int64, error) {
	for _, field := range fields {
		if s := params.Get(field); s != "" {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return 0, fault.New(fault.Invalid, "%s is %q; it must be a whole number", field, s)
			}
			return n, nil
		}
	}
	return 0, nil
}
