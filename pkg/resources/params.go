package resources

import (
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

const (
	// minStepSeconds is the finest step of a series: profiles rarely come more often.
	minStepSeconds = 15
	// wantedPoints is how many points a series without a given step should have at most.
	wantedPoints = 500
)

// params reads query parameters and names the one that is wrong.
type params struct{ values url.Values }

// timeRange reads from and until; both may be missing.
func (p params) timeRange() (upstream.Range, error) {
	from, err := p.integer("from")
	if err != nil {
		return upstream.Range{}, err
	}
	until, err := p.integer("until")
	if err != nil {
		return upstream.Range{}, err
	}
	if from > until {
		return upstream.Range{}, upstream.Invalid("from=%d is after until=%d", from, until)
	}
	return upstream.Range{From: from, Until: until}, nil
}

// query reads what every data route needs: service, selector, type and a range.
func (p params) query() (upstream.Query, error) {
	r, err := p.timeRange()
	if err != nil {
		return upstream.Query{}, err
	}
	if r.From == 0 || r.Until == 0 {
		return upstream.Query{}, upstream.Invalid("from and until are required: milliseconds since the epoch")
	}
	profileType := p.values.Get("type")
	if profileType == "" {
		return upstream.Query{}, upstream.Invalid("type is required: a profile type such as process_cpu:cpu:nanoseconds:cpu:nanoseconds")
	}
	maxNodes, err := p.integer("maxNodes")
	if err != nil {
		return upstream.Query{}, err
	}
	return upstream.Query{
		ProfileType: profileType,
		Selector:    upstream.Selector(p.values.Get("service"), p.values.Get("selector")),
		Range:       r,
		MaxNodes:    maxNodes,
	}, nil
}

// step reads the step of a series in seconds; without one it follows the range.
func (p params) step(r upstream.Range) (float64, error) {
	text := p.values.Get("step")
	if text == "" {
		seconds := float64(r.Until-r.From) / 1000
		return minStepSeconds * max(1, math.Ceil(seconds/wantedPoints/minStepSeconds)), nil
	}
	step, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(step) || math.IsInf(step, 0) || step <= 0 {
		return 0, upstream.Invalid("step=%q must be a positive number of seconds", text)
	}
	return max(step, minStepSeconds), nil
}

func (p params) integer(name string) (int64, error) {
	text := p.values.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, upstream.Invalid("%s=%q must be a whole number, zero or more", name, text)
	}
	return n, nil
}

// list reads a comma-separated parameter.
func (p params) list(name string) []string {
	var out []string
	for _, part := range strings.Split(p.values.Get(name), ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
