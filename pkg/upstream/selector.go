package upstream

import (
	"strconv"
	"strings"
)

// Selector puts a service and a label selector together: {service_name="…",…}.
// Either may be empty.
func Selector(service, selector string) string {
	inner := strings.TrimSpace(selector)
	inner = strings.TrimSuffix(strings.TrimPrefix(inner, "{"), "}")
	inner = strings.Trim(inner, ", \t\n")
	var parts []string
	if service != "" {
		parts = append(parts, "service_name="+strconv.Quote(service))
	}
	if inner != "" {
		parts = append(parts, inner)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// SampleType returns the sample type of a profile type ID, e.g. cpu.
func SampleType(profileTypeID string) string { return idPart(profileTypeID, 1) }

// SampleUnit returns the unit of a profile type ID's samples, e.g. nanoseconds.
func SampleUnit(profileTypeID string) string { return idPart(profileTypeID, 2) }

// idPart returns one part of name:sample_type:sample_unit:period_type:period_unit.
func idPart(profileTypeID string, i int) string {
	parts := strings.Split(profileTypeID, ":")
	if i >= len(parts) {
		return ""
	}
	return parts[i]
}
