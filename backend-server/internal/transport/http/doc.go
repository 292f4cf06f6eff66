// Package http is the one port of the process: it listens, sorts requests by
// path and wraps them in what every request needs.
//
// HTTP/1.1 and HTTP/2 (which gRPC wants) share the port, with TLS or without. There are
// two kinds of routes. API routes belong to a tenant: they are refused without
// one when multi-tenancy is on, and have a body limit. Operations routes
// (/ready, /metrics, /debug/pprof, …) belong to the process and have neither.
//
// Invariants:
//
//	H1  an API handler always finds a valid tenant in its context;
//	H2  what a client gets for a refused request is in the client's own
//	    protocol: connect, gRPC and gRPC-Web errors for those, text for others;
//	H3  a panic ends its request, not the process.
package http
