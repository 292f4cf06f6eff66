// Package store opens the object stores: a folder, S3, Google Cloud Storage,
// Azure Blob Storage and OpenStack Swift, each by thanos-io/objstore's provider.
//
// # Design
//
// A kind of store is a Provider: its flags, what is wrong with them, how it is
// opened, and what its errors mean. Each is a file; nothing else knows the SDKs.
//
//	O1  only the store that is used costs anything: no other client is made, no
//	    credentials of others are looked for;
//	O2  opening one talks to nobody but who gives out credentials: a store that
//	    is away is found out by using it;
//	O3  all HTTP goes through one Transport, so that time-outs, certificates and
//	    what is noted about answers are the same for all.
package store

import (
	"context"
	"flag"

	"github.com/thanos-io/objstore"
)

// Provider is a kind of object store with its settings.
type Provider interface {
	// RegisterFlags declares its flags, with their defaults.
	RegisterFlags(f *flag.FlagSet)
	// Validate reports every value that is not allowed.
	Validate() []error
	// Open returns a client, which talks through t.
	Open(ctx context.Context, t *Transport) (objstore.Bucket, error)
	// Explain says what an error of the client means.
	Explain(err error) Meaning
	// Flags names the flags that have to do with a cause.
	Flags(c Cause) string
}

// Meaning is what an error of a store says.
type Meaning struct {
	Cause   Cause
	Code    string // the store's word for it, or ""
	Message string // the store's sentence, or ""
}

// Cause says what is wrong between this process and its store.
type Cause uint8

// The causes. All but Unclear and Away are wrong settings, here or there, and
// stay until somebody changes them.
const (
	Unclear     Cause = iota
	Away              // not reachable, overloaded, failing: it may work later
	Refused           // the store says that the request is wrong, in words of its own
	NoBucket          // no such bucket or container
	Unknown           // credentials that the store does not know, or a wrong secret
	Denied            // known, but not allowed to do this
	Region            // the bucket is in another region
	Endpoint          // what answers is not such a store, or speaks no TLS
	Certificate       // not trusted, not valid, or for another name
	Clock             // the clocks are too far apart
	Missing           // no credentials are found
)

// Misconfigured reports whether waiting does not help.
func (c Cause) Misconfigured() bool { return c != Unclear && c != Away }
