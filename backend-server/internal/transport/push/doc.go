// Package push is the edge of the write path: it takes profiles from the RPC
// push.v1.PusherService/Push (connect, gRPC and gRPC-Web, binary and JSON) and
// from POST /ingest, the older form that SDKs send, and hands them on as
// upload.Series.
//
// # /ingest
//
// The query names the program and its labels, name=app{k=v,…}, and the time,
// from and until; the body is a pprof profile, as it is (format=pprof) or as
// the file "profile" of a form, beside which "sample_type_config" may say how
// sample types are shown. The profile type's name comes from its sample types
// (pprof.MetricName). The other formats that servers of this API take are
// answered 422 with their name.
//
// The status is 200 only if the profile is stored; 400 says that the query or
// form is wrong, 413 that the body is too large, 422 that the body is no
// profile that can be stored, 429 and 503 that it can be sent again later.
//
// # Memory
//
// The profiles of a binary request lie in one copy of its body, in memory that
// serves the next request once the Pusher has returned (W3): it must not keep
// them. Profiles are most of what comes in, so that little is left to collect.
//
// # Invariants
//
//	W1  what is wrong with a profile never has a code that makes a client send
//	    it again;
//	W2  an answer that asks to try again has Retry-After where the time is
//	    known;
//	W3  what a request lies in is given back only after the Pusher has returned.
package push
