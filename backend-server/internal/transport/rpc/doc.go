// Package rpc is how processes of a cluster call each other: gRPC on a port of
// its own, with the same certificates in both directions.
//
// A Server answers calls, a Pool makes them. Both carry, besides the call: the
// tenant of the context, if it has one, as the header X-Scope-OrgID; the span;
// and errors with their kind, reason and hint when to try again.
//
// # Who is gone
//
// A process that has died resets its connections, and calls fail at once. One
// that is stopped or cut off says nothing. gRPC's own keepalive looks each 10
// seconds at the soonest, when called by the side that makes calls. So the pool
// watches by itself (watch.go): where calls wait and nothing has come in for
// quietAfter, it asks whether anybody is there, and cuts the connection if there
// is no answer within answerWithin. The server, whose keepalive may look sooner,
// finds out the same way about those that called it.
//
// Invariants:
//
//	P1  A call to a process that does not answer, be it dead, stopped or cut
//	    off, fails with fault.Unavailable, which names the address, within ten
//	    seconds, however long its deadline.
//	P2  What a handler returns arrives as an error of the same kind, reason and
//	    hint. A kind that is not known here is taken from the gRPC code.
//	P3  A caller is told context.Canceled only if its own context has ended.
//	P4  A panic ends its call, not the process.
//	P5  A call to a member of a ring is answered by nobody else. Addresses are
//	    given to other processes, of other clusters too, and for as long as a
//	    ring says otherwise their profiles would be mixed with ours, and ours
//	    counted as stored.
package rpc
