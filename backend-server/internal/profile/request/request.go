// Package request holds the questions that clients ask, as they asked them:
// plain values, nothing checked yet. The edge fills them in from whatever
// protocol it speaks, the query frontend checks and answers them; neither has
// to know the other.
package request

import "github.com/hearth-profiles/hearth/backend-server/internal/profile"

// Profile asks for the merged samples of profiles.
type Profile struct {
	Type       string // profile type ID
	Selector   string
	Start, End profile.UnixMilli // both included
	MaxNodes   int64             // of a flame graph; 0 means the default
	CallSite   []string          // only stacks that begin so, root first
	Spans      []string          // only samples of these spans: 16 hexadecimal digits each
	Profiles   []string          // only these profiles, by ID
	Traces     []string          // only samples of these traces
	PGO        *PGO              // prepare stacks for a compiler; CallSite is ignored
}

// PGO says how stacks are prepared for profile-guided optimisation.
type PGO struct {
	KeepLocations    uint32 // of each stack, from the leaf; 0 keeps all
	AggregateCallees bool   // ignore the line number of the leaf
}

// Series asks for the totals of profiles over time.
type Series struct {
	Profile
	GroupBy     []string
	StepSeconds float64
	Average     bool  // the mean of the profiles in a step, not their sum
	Limit       int64 // only the largest series; 0 means all
}

// Functions asks for the functions that samples were taken in. MaxNodes counts
// for nothing: functions are summed over all stacks.
type Functions struct {
	Profile
	Limit int64  // only the largest functions; 0 means the default
	Sort  string // "total", which is the default, or "self"
}

// Labels asks about label names, values or sets. Start and End both zero means
// all time.
type Labels struct {
	Matchers   []string // a union of selectors
	Start, End profile.UnixMilli
}
