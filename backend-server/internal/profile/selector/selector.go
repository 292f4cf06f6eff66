// Package selector reads label selectors, the {name="value"} part of PromQL.
//
// The grammar is Prometheus' own: =, !=, =~ and !~, a metric name before the
// braces, and quoted names for labels that hold anything but letters, digits
// and underscores, e.g. {"service.version"="1.2"}; names with dots may go
// unquoted. An empty selector selects everything, for clients send it when the
// user has chosen nothing.
package selector

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// MaxLength is the longest selector, in bytes.
const MaxLength = 64 << 10

// Parse returns the matchers of a selector, nil for one that selects
// everything. The error is a fault of kind Invalid.
func Parse(s string) ([]*labels.Matcher, error) {
	if len(s) > MaxLength {
		return nil, fault.New(fault.Invalid, "label selector has %d bytes; limit %d", len(s), MaxLength)
	}
	if all(s) {
		return nil, nil
	}
	p := parser.NewParser(parser.Options{EnableUnquotedUTF8Names: true})
	matchers, err := p.ParseMetricSelector(s)
	if err != nil {
		return nil, fault.New(fault.Invalid, "label selector %q: %w", s, err)
	}
	return matchers, nil
}

// all reports whether s is nothing but blanks and perhaps a pair of braces.
func all(s string) bool {
	s = strings.TrimSpace(s)
	if s == "" {
		return true
	}
	inner, braces := strings.CutPrefix(s, "{")
	if !braces {
		return false
	}
	inner, braces = strings.CutSuffix(inner, "}")
	return braces && strings.TrimSpace(inner) == ""
}

// ParseAll parses every selector of a list.
func ParseAll(list []string) ([][]*labels.Matcher, error) {
	out := make([][]*labels.Matcher, 0, len(list))
	for _, s := range list {
		m, err := Parse(s)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
