// Package upstream talks to a profiling server through the public API.
//
// It is the only package of the plugin backend that knows connect and the
// generated wire types: everything that leaves it is a plain struct of this
// package, so that frames and routes can be tested without a server and the
// wire may change in one place.
//
//	client.go   Config, Client: who is asked, with which credentials
//	query.go    the calls: types, labels, services, flame graph, series
//	probe.go    readiness and build information, over plain HTTP
//	errors.go   one table: wire code and transport failure → Error
//	selector.go label selectors put together from parts
//
// Invariants:
//   - every error returned by a call is an *Error with a code and an HTTP status;
//   - slices in results are never nil, so that they encode as [] in JSON;
//   - credentials are sent to the configured server only, never logged.
package upstream
