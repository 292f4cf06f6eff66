// Package wire is what all RPC services of the edge share: how an error of ours
// becomes an RPC code or an HTTP status, how labels are written on the wire,
// and the options that every connect handler is made with.
//
// Invariants:
//
//	E1  there is one table from fault.Kind to codes, in errors.go;
//	E2  a client's mistake never has a code that clients retry (unknown,
//	    internal, unavailable, deadline exceeded, aborted, resource exhausted);
//	E3  a panic in a handler is an internal error of that request.
package wire
