package queryfrontend

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/selector"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/series"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// endOfTime is the last moment of the year 9999: later ones are taken for it,
// so that no sum of times leaves 64 bits.
const endOfTime profile.UnixMilli = 253_402_300_799_999

// Reasons of refusals, as metrics count them.
const (
	reasonMissingRange = "missing_time_range"
	reasonInvalidRange = "invalid_time_range"
	reasonLength       = "query_limit"
	reasonNodes        = "flamegraph_limit"
)

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// inField says which part of a request an error is about. The kind stays.
func inField(field string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.KindOf(err), "%s: %w", field, err)
}

// nodes returns the size to which a flame graph is cut.
func (f *Frontend) nodes(asked int64) (int, error) {
	switch {
	case asked == 0:
		return int(f.cfg.DefaultNodes), nil
	case asked < 0:
		return 0, fault.Reason(fault.Invalid, reasonNodes, "max_nodes is %d; it must be from 1 to %d, or 0 for the default of %d", asked, f.cfg.MaxNodes, f.cfg.DefaultNodes)
	case asked > f.cfg.MaxNodes:
		return 0, fault.Reason(fault.Invalid, reasonNodes, "max_nodes is %d; limit %d", asked, f.cfg.MaxNodes)
	}
	return int(asked), nil
}

// functionOrder returns how many functions are wanted, and whether those with
// the largest own values.
func functionOrder(req request.Functions) (limit int, bySelf bool, err error) {
	switch {
	case req.Limit == 0:
		limit = defaultFunctions
	case req.Limit < 0 || req.Limit > mostFunctions:
		return 0, false, invalid("limit is %d; it must be from 1 to %d, or 0 for the default of %d", req.Limit, mostFunctions, defaultFunctions)
	default:
		limit = int(req.Limit)
	}
	switch req.Sort {
	case "", "total":
	case "self":
		bySelf = true
	default:
		return 0, false, invalid("sort is %q; it must be total or self", req.Sort)
	}
	return limit, bySelf, nil
}

// selection checks a question for samples. Nothing means that all of the range
// lies before the look-back limit.
func (f *Frontend) selection(req request.Profile) (sel query.Selection, nothing bool, err error) {
	if sel.Type, err = profile.ParseType(req.Type); err != nil {
		return sel, false, err
	}
	if sel.Matchers, err = selector.Parse(req.Selector); err != nil {
		return sel, false, err
	}
	if sel.Range, err = f.profileRange(req.Start, req.End); err != nil {
		return sel, false, err
	}
	if sel.Spans, err = parseIDs("span_selector", req.Spans, spanID); err != nil {
		return sel, false, err
	}
	if sel.ProfileIDs, err = parseIDs("profile_id_selector", req.Profiles, profileID); err != nil {
		return sel, false, err
	}
	if len(req.Traces) > 0 {
		return sel, false, fault.New(fault.Unimplemented, "trace_id_selector is not served; select the trace's spans with span_selector")
	}
	sel.CallSite = req.CallSite
	sel.Range.Start = max(sel.Range.Start, f.oldest())
	return sel, sel.Range.Start > sel.Range.End, nil
}

// profileRange checks the range of a question for samples, which must have one.
func (f *Frontend) profileRange(start, end profile.UnixMilli) (profile.TimeRange, error) {
	if start == 0 || end == 0 {
		return profile.TimeRange{}, fault.Reason(fault.Invalid, reasonMissingRange, "start is %d and end is %d; both must be given, in milliseconds since 1970", start, end)
	}
	r, err := checkRange(start, end)
	if err != nil {
		return r, err
	}
	if length := time.Duration(r.End-r.Start) * time.Millisecond; f.cfg.MaxLength > 0 && length > f.cfg.MaxLength {
		return r, fault.Reason(fault.Invalid, reasonLength, "the range from start to end is %s long; limit %s", length, f.cfg.MaxLength)
	}
	return r, nil
}

func checkRange(start, end profile.UnixMilli) (profile.TimeRange, error) {
	if start < 0 || end < 0 {
		return profile.TimeRange{}, fault.Reason(fault.Invalid, reasonInvalidRange, "start is %d and end is %d; neither may be negative", start, end)
	}
	if start > end {
		return profile.TimeRange{}, fault.Reason(fault.Invalid, reasonInvalidRange, "start %d is after end %d", start, end)
	}
	return profile.TimeRange{Start: min(start, endOfTime), End: min(end, endOfTime)}, nil
}

// oldest returns the time before which nothing is answered.
func (f *Frontend) oldest() profile.UnixMilli {
	if f.cfg.MaxLookback == 0 {
		return 0
	}
	return profile.UnixMilli(f.now().Add(-f.cfg.MaxLookback).UnixMilli())
}

// labelRange checks the range of a question for labels, where start and end
// both zero stand for all time.
func (f *Frontend) labelRange(req request.Labels) (r profile.TimeRange, nothing bool, err error) {
	if req.Start == 0 && req.End == 0 {
		req.End = endOfTime
	}
	if r, err = checkRange(req.Start, req.End); err != nil {
		return r, false, err
	}
	r.Start = max(r.Start, f.oldest())
	return r, r.Start > r.End, nil
}

// seriesSelection checks a question for series.
func (f *Frontend) seriesSelection(req request.Series) (query.SeriesSelection, bool, error) {
	out := query.SeriesSelection{GroupBy: req.GroupBy, Average: req.Average}
	sel, nothing, err := f.selection(req.Profile)
	if err != nil {
		return out, false, err
	}
	out.Selection = sel
	r, err := f.profileRange(req.Start, req.End)
	if err != nil {
		return out, false, err
	}
	if out.Grid, err = grid(r, req.StepSeconds); err != nil {
		return out, false, err
	}
	if req.Limit < 0 || req.Limit > math.MaxInt32 {
		return out, false, invalid("limit is %d; it must be from 1 to %d, or 0 for all series", req.Limit, math.MaxInt32)
	}
	out.Limit = int(req.Limit)
	// The look-back limit takes whole steps away, so that the points that are
	// left stand where they would have stood.
	if oldest := f.oldest(); out.Grid.Start < oldest {
		skip := (int64(oldest-out.Grid.Start) + out.Grid.StepMillis - 1) / out.Grid.StepMillis
		out.Grid.Start += profile.UnixMilli(skip * out.Grid.StepMillis)
	}
	out.Range = out.Grid.Range()
	return out, nothing || out.Range.Start > out.Range.End, nil
}

// grid checks the step of a time series.
func grid(r profile.TimeRange, stepSeconds float64) (series.Grid, error) {
	millis := math.Round(stepSeconds * 1000)
	if !(millis >= 1) || millis > float64(endOfTime) {
		return series.Grid{}, invalid("step is %g seconds; it must be at least 0.001", stepSeconds)
	}
	g := series.Grid{Start: r.Start, End: r.End, StepMillis: int64(millis)}
	if n := g.Points(); n > mostPoints {
		return g, fault.Reason(fault.Invalid, reasonLength, "a step of %g seconds makes %d points of the range; limit %d: use a longer step or a shorter range", stepSeconds, n, mostPoints)
	}
	return g, nil
}

// listing makes a question about labels of a request.
func (f *Frontend) listing(kind question.Kind, req request.Labels) (q *question.Question, nothing bool, err error) {
	q = &question.Question{Kind: kind}
	if q.Range, nothing, err = f.labelRange(req); err != nil {
		return nil, false, err
	}
	if q.Matchers, err = selector.ParseAll(req.Matchers); err != nil {
		return nil, false, err
	}
	if len(q.Matchers) == 0 {
		q.Matchers = [][]*labels.Matcher{nil}
	}
	return q, nothing, nil
}

// queryMatchers reads a selector that may have a profile type ID in front. The
// ID becomes a matcher of the label that holds it.
func queryMatchers(text string) ([]*labels.Matcher, error) {
	id, rest := text, ""
	if brace := strings.IndexByte(text, '{'); brace >= 0 {
		id, rest = text[:brace], text[brace:]
	}
	id = strings.TrimSpace(id)
	if strings.Count(id, ":") < 4 {
		return selector.Parse(text)
	}
	typ, err := profile.ParseType(id)
	if err != nil {
		return nil, err
	}
	matchers, err := selector.Parse(rest)
	if err != nil {
		return nil, err
	}
	byType, err := labels.NewMatcher(labels.MatchEqual, profile.LabelProfileType, typ.String())
	if err != nil {
		return nil, invalid("profile type %q: %w", id, err)
	}
	return append(matchers, byType), nil
}

func parseIDs(field string, list []string, parse func(string) (uint64, bool, string)) ([]uint64, error) {
	var out []uint64
	for _, s := range list {
		id, ok, want := parse(s)
		if !ok {
			return nil, invalid("%s has %q; it must be %s", field, s, want)
		}
		out = append(out, id)
	}
	return out, nil
}

// spanID reads a span ID: 16 hexadecimal digits, the number they are.
func spanID(s string) (uint64, bool, string) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, false, "16 hexadecimal digits"
	}
	return binary.BigEndian.Uint64(b), true, ""
}

// profileID reads a profile's ID. Ours are 64 bits; in the form of a UUID they
// fill its second half. Other servers' UUIDs are folded and so find nothing.
func profileID(s string) (uint64, bool, string) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err == nil && len(b) == 8 {
		return binary.BigEndian.Uint64(b), true, ""
	}
	if err != nil || len(b) != 16 {
		return 0, false, "a UUID or 16 hexadecimal digits"
	}
	return binary.BigEndian.Uint64(b) ^ binary.BigEndian.Uint64(b[8:]), true, ""
}
