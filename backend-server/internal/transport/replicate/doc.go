// Package replicate carries records from distributors to ingesters in other
// processes.
//
// # How
//
// A Client has one stream to each ingester, for as long as it lives, and sends
// all pushes over it: those of all tenants, many at a time. Each has a number,
// by which its answer finds it. The stream is not opened before it is needed,
// and after a failure not before a pause, in which pushes fail at once.
//
// The records are encoded once, before they come here (internal/profile/flat).
// For each ingester its message is put together in memory that gRPC gives back
// after it was written to the wire. It is the last field of a protobuf message of
// which the client writes the others before it, without another copy.
//
// A Server reads requests, decodes each in a goroutine of its own into memory
// that is used again, and hands the records to the ingester.
//
// # Invariants
//
//	S1  Pushes to an ingester that does not answer wait for no longer than their
//	    deadline, and hold no more than maxWaiting bytes and one push. What comes
//	    on top of that is refused at once. Other ingesters are not affected.
//	S2  A stream that has brought no answer since a push that timed out was
//	    given to it is broken: all that wait for it fail, and the next push
//	    opens another.
//	S3  A record counts as stored only if the ingester has said so about as many
//	    records as were sent.
//	S4  A push that has reached the ingester runs until it is done, also if its
//	    stream ends.
//	S5  Every goroutine ends with Close of the client or with its stream.
package replicate
