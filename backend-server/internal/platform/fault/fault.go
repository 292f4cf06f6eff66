// Package fault classifies errors by what the caller can do about them.
//
// Every layer below the edge returns ordinary wrapped errors; where the kind
// matters to a client, the error carries a Kind. The edge maps a Kind to an
// RPC code in one table (transport/wire). Code matches kinds with Is or KindOf,
// never by text.
package fault

import (
	"errors"
	"fmt"
)

// Kind says who has to act on an error.
type Kind uint8

// The kinds, in the order in which KindOf prefers nothing: the outermost
// marked error in a chain decides.
const (
	Unknown         Kind = iota // not classified: our bug or an outside failure
	Invalid                     // the request is wrong and stays wrong: do not retry
	TooLarge                    // a body or message is over a size limit
	NotFound                    // the thing asked for does not exist
	Unauthenticated             // no tenant where one is needed
	Exhausted                   // a limit or budget is used up: retry later, slower
	Unavailable                 // not now: starting, stopping, disk full
	Unimplemented               // known to the API, not served here
	Corrupt                     // stored bytes do not match their checksum or format
)

var names = [...]string{"unknown", "invalid", "too large", "not found", "unauthenticated", "exhausted", "unavailable", "unimplemented", "corrupt"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", k)
}

type marked struct {
	kind   Kind
	reason string
	err    error
}

func (m *marked) Error() string { return m.err.Error() }
func (m *marked) Unwrap() error { return m.err }

// New returns an error of kind k; the format is fmt.Errorf's, %w included.
func New(k Kind, format string, args ...any) error {
	return &marked{kind: k, err: fmt.Errorf(format, args...)}
}

// Reason returns an error of kind k with a refusal reason, the word that
// metrics and logs count it under (e.g. "malformed_profile").
func Reason(k Kind, reason, format string, args ...any) error {
	return &marked{kind: k, reason: reason, err: fmt.Errorf(format, args...)}
}

// Mark gives err the kind k. A nil err stays nil.
func Mark(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &marked{kind: k, err: err}
}

// KindOf returns the kind of the outermost marked error in err's chain.
func KindOf(err error) Kind {
	var m *marked
	if errors.As(err, &m) {
		return m.kind
	}
	return Unknown
}

// ReasonOf returns the refusal reason of err, or the name of its kind.
func ReasonOf(err error) string {
	for e := err; e != nil; {
		var m *marked
		if !errors.As(e, &m) {
			break
		}
		if m.reason != "" {
			return m.reason
		}
		e = m.err
	}
	return KindOf(err).String()
}

// Is reports whether err is of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
