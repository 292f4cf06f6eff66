// Package upload holds what a writer sends and what it is answered, in the
// domain's words: labelled series of profiles that are still encoded, and which
// of them were refused.
//
// The transports make Series out of requests, the distributor turns them into
// records; neither has to know the other. An upload is not all or nothing: the
// good profiles of a request are stored, whatever is wrong with others.
package upload

import (
	"fmt"
	"strings"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Series is a set of labels and the profiles sent under it.
type Series struct {
	Labels   []profile.LabelPair
	Profiles []Profile
	// Name chooses the label __name__ for profiles of a series that lacks it,
	// from their sample types. If it is nil such a series is refused.
	Name func(types []profile.ValueType) string
}

// Profile is one profile as received.
type Profile struct {
	Data []byte // pprof, plain or in gzip
	ID   string // chosen by the client; may be empty
	// Time is when the profile was taken, for profiles that do not tell
	// themselves; 0 stands for the time of receipt.
	Time profile.UnixMilli
}

// All says that a refusal is of all profiles of a series.
const All = -1

// Refusal says why a profile, or a whole series, was not stored.
type Refusal struct {
	Series  int    // which series of the upload, from 0
	Profile int    // which profile of the series, from 0, or All
	Labels  string // of the series, for people
	Err     error
}

// Result is the outcome of an upload. Where there is a Refusal the others are
// stored all the same.
type Result struct {
	Received int // profiles
	Stored   int
	Refused  []Refusal
}

// maxListed is how many refusals an error message lists.
const maxListed = 10

// Err returns nil if everything was stored, otherwise an error that says what
// was not and why. Its kind is that of the refusal for which a client should
// try again, if there is one: what is stored already is not stored twice.
func (r *Result) Err() error {
	if len(r.Refused) == 0 {
		return nil
	}
	var list strings.Builder
	for i, f := range r.Refused {
		if i == maxListed {
			fmt.Fprintf(&list, "; and %d more", len(r.Refused)-i)
			break
		}
		if i > 0 {
			list.WriteString("; ")
		}
		list.WriteString(f.String())
	}
	worst := r.worst()
	return &partial{fmt.Sprintf("%d of %d profiles were stored; refused: %s", r.Stored, r.Received, list.String()), worst}
}

// String tells what was refused and why.
func (f Refusal) String() string {
	if f.Profile == All {
		return fmt.Sprintf("series %d %s: %v", f.Series, f.Labels, f.Err)
	}
	return fmt.Sprintf("series %d %s, profile %d: %v", f.Series, f.Labels, f.Profile, f.Err)
}

// severity orders kinds of errors: the higher, the more it decides the answer.
var severity = map[fault.Kind]int{
	fault.TooLarge: 0, fault.Invalid: 1, fault.Exhausted: 2, fault.Unavailable: 3, fault.Unknown: 4,
}

func (r *Result) worst() error {
	worst, rank := error(nil), -1
	for _, f := range r.Refused {
		s, ok := severity[fault.KindOf(f.Err)]
		if !ok {
			s = severity[fault.Invalid]
		}
		if s > rank {
			worst, rank = f.Err, s
		}
	}
	return worst
}

// partial has the text of all refusals and the kind of the worst.
type partial struct {
	text  string
	cause error
}

func (p *partial) Error() string { return p.text }
func (p *partial) Unwrap() error { return p.cause }

// RetryError is an error with a hint when to try again.
type RetryError struct {
	Err   error
	After time.Duration
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the error the hint is for.
func (e *RetryError) Unwrap() error { return e.Err }
