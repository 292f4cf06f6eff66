// Package profile holds the words of the domain: profile, sample, stack trace,
// location, function, mapping, profile type, time range. They are plain
// values; nothing here knows a transport, a file or a clock.
//
// A Profile is one decoded pprof profile in flat arrays. IDs of the wire
// format are gone: everything refers by index. Index 0 of Strings is "", index
// 0 of Mappings is "no mapping".
//
// Invariants of a normalised Profile (what decoders hand on and the engine
// takes for granted):
//
//	P1  every index is within its array;
//	P2  every location has at least one line: a frame without symbols has been
//	    named "file+0xaddress", "0xaddress" or "[unknown]";
//	P3  no value is negative, and no sample has only zero values;
//	P4  a stack has at most the configured depth; what was cut off is one frame
//	    named "[truncated]" at the root end;
//	P5  samples of one label set (Group) are contiguous, in order of Group.
package profile

import "github.com/prometheus/prometheus/model/labels"

// UnixMilli is a time in milliseconds since the Unix epoch.
type UnixMilli int64

// TimeRange is a range of times, both ends included.
type TimeRange struct{ Start, End UnixMilli }

// Contains reports whether t lies in the range.
func (r TimeRange) Contains(t UnixMilli) bool { return r.Start <= t && t <= r.End }

// Overlaps reports whether the two ranges share an instant.
func (r TimeRange) Overlaps(o TimeRange) bool { return r.Start <= o.End && o.Start <= r.End }

// ValueType is what a column of sample values means, e.g. cpu/nanoseconds.
type ValueType struct{ Type, Unit string }

// Mapping is one binary of the profiled process.
type Mapping struct {
	Start, Limit, Offset uint64
	File, BuildID        uint32 // string indices
	HasFunctions         bool
}

// Function is one function. All fields but StartLine are string indices.
type Function struct {
	Name, SystemName, Filename uint32
	StartLine                  int64
}

// Line is one frame: a function and the line executed in it.
type Line struct {
	Function uint32 // function index
	Line     int64
}

// Location is one program counter. Lines[LineStart:LineEnd] are its frames,
// the innermost inlined call first. Address is 0 where the frames have names
// from symbols; otherwise it is the address within the mapping's file.
type Location struct {
	Mapping            uint32 // mapping index, 0 for none
	Address            uint64
	LineStart, LineEnd uint32
}

// Sample is one stack trace: Frames[FrameStart:FrameEnd] are its location
// indices, the leaf first. A sample may have no frames at all.
type Sample struct {
	FrameStart, FrameEnd uint32
	Group                uint32   // index into LabelSets
	SpanID               uint64   // 0 for none
	TraceID              [16]byte // all zero for none
}

// LabelPair is one label.
type LabelPair struct{ Name, Value string }

// Profile is one decoded profile. Strings may share memory with the buffer the
// profile was decoded from; whoever keeps one longer than the call that got it
// must clone it.
type Profile struct {
	Types      []ValueType // the sample types, one column of Values each
	PeriodType ValueType
	Period     int64

	TimeNanos     int64 // since the epoch, 0 if the profile came without a time
	DurationNanos int64

	Strings   []string
	Mappings  []Mapping
	Functions []Function
	Lines     []Line
	Locations []Location
	Frames    []uint32
	Samples   []Sample
	Values    []int64         // row-major: Values[sample*len(Types)+column]
	LabelSets [][]LabelPair   // LabelSets[0] is empty: samples without promoted labels
	Dropped   DroppedCounters // what normalisation took away
}

// DroppedCounters say what normalisation took away from a profile.
type DroppedCounters struct {
	NegativeSamples   int // samples with a negative value, dropped whole
	ZeroSamples       int // samples of which all values are zero
	TruncatedStacks   int // stacks over the depth limit, cut at the root end
	UnlabelledSamples int // samples kept without their labels: too many distinct label sets
}

// Row returns the values of sample i, one for each sample type.
func (p *Profile) Row(i int) []int64 {
	n := len(p.Types)
	return p.Values[i*n : (i+1)*n]
}

// Record is one profile of one series on its way into the engine: the samples
// [SampleStart, SampleEnd) of Profile, under Labels, at Time.
type Record struct {
	// ID identifies the profile: equal IDs within a series mean the same
	// profile sent again. It is chosen once, by the distributor.
	ID uint64
	// Labels are the series labels, __name__ and service_name included, the
	// labels of the profile type (TypeLabels) not.
	Labels labels.Labels
	Time   UnixMilli
	// Profile is read only and shared by all records made from it.
	Profile                *Profile
	SampleStart, SampleEnd int
}
