package profile

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Labels with a meaning of their own.
const (
	LabelName        = labels.MetricName  // first part of the profile type
	LabelProfileType = "__profile_type__" // the whole profile type ID
	LabelType        = "__type__"         // sample type
	LabelUnit        = "__unit__"         // sample unit
	LabelPeriodType  = "__period_type__"  // period type
	LabelPeriodUnit  = "__period_unit__"  // period unit
	LabelDelta       = "__delta__"        // "false": values are not cumulative
	LabelServiceName = "service_name"     // the service, present on every series
	LabelSpy         = "pyroscope_spy"    // the SDK that sent the profile
	UnknownService   = "unknown_service"  // service_name of profiles that name none
)

// Type is a profile type: what is measured and how. Its ID is the five parts
// joined by colons, e.g. process_cpu:cpu:nanoseconds:cpu:nanoseconds.
type Type struct {
	Name, SampleType, SampleUnit, PeriodType, PeriodUnit string
}

// ParseType reads a profile type ID. A sixth part "delta" is tolerated.
func ParseType(id string) (Type, error) {
	parts := strings.Split(id, ":")
	if len(parts) == 6 && parts[5] == "delta" {
		parts = parts[:5]
	}
	if len(parts) != 5 {
		return Type{}, fault.New(fault.Invalid, "profile type %q has %d parts; it must have 5: name:sample_type:sample_unit:period_type:period_unit", id, len(parts))
	}
	return Type{parts[0], parts[1], parts[2], parts[3], parts[4]}, nil
}

// String returns the type's ID.
func (t Type) String() string {
	return strings.Join([]string{t.Name, t.SampleType, t.SampleUnit, t.PeriodType, t.PeriodUnit}, ":")
}

// IsCounter reports whether a series has running totals of a sample type: what
// was allocated since the process began, unless the sender has taken the
// differences. The engine keeps what they grow by.
func IsCounter(series labels.Labels, sampleType string) bool {
	return (sampleType == "alloc_objects" || sampleType == "alloc_space") &&
		series.Get(LabelName) == "memory" && series.Get(LabelDelta) != "false"
}

// MayCount reports whether series of the type may be counters.
func (t Type) MayCount() bool {
	return t.Name == "memory" && (t.SampleType == "alloc_objects" || t.SampleType == "alloc_space")
}

// TypeLabels returns series with the labels that name the profile type of the
// given column added: __profile_type__, __type__, __unit__, __period_type__,
// __period_unit__.
func TypeLabels(series labels.Labels, column, period ValueType) labels.Labels {
	t := Type{series.Get(LabelName), column.Type, column.Unit, period.Type, period.Unit}
	b := labels.NewBuilder(series)
	b.Set(LabelProfileType, t.String())
	b.Set(LabelType, t.SampleType)
	b.Set(LabelUnit, t.SampleUnit)
	b.Set(LabelPeriodType, t.PeriodType)
	b.Set(LabelPeriodUnit, t.PeriodUnit)
	return b.Labels()
}
