// Package distributor is the role that takes in profiles: it checks labels,
// times and sizes, decodes each profile once, gives it its identity and hands
// records to ingesters. What comes behind it never sees pprof.
//
// # Labels
//
// The labels of a profile type (__type__ and the like) and __session_id__ are
// taken out, labels with empty values too; a missing service_name becomes
// unknown_service. A name "godeltaprof_x" is x with __delta__="false". The
// samples of a profile that carry labels of their own become a record for each
// label set, under the series labels plus the set; a series label wins over a
// sample label of the same name. Sample labels that begin with "__" or are too
// long are left out, and so is a whole set if with it the series would have too
// many labels. All that is counted. Sets that are the same series then are one
// record.
//
// # Identity
//
// A record's ID is xxhash64 over tenant, labels, the number of the label set
// within the profile, the time in milliseconds, the client's ID and the bytes
// of the profile after decompression, so that the same profile compressed
// otherwise is still the same. A profile without a time gets that of receipt
// and a random ID: it is never taken for a retry.
//
// # Replication
//
// A process that is alone hands records to its own ingester, as they are. In a
// cluster (Replicas) each record goes to the ingesters of the ring that keep its
// series, and is stored when a quorum of them has it. Records are encoded once
// for all ingesters of other processes; that of this process gets them as they
// are. What has not been sent when the quorum is reached goes on in the
// background, for -distributor.push.timeout at the longest. What goes on there
// is bounded: by the remote client for each ingester, and here for all of them.
//
// A client that is told to try again sends the same bytes, so that IDs are the
// same and ingesters that have the record already do nothing.
//
// What a client is told of a record that has no quorum: if as many ingesters
// refuse it as could not be outvoted, that it is wrong (fault.Invalid,
// fault.TooLarge); else to try again, later if ingesters say so
// (fault.Exhausted). Errors of a single ingester that say nothing about the
// record count as fault.Unavailable.
//
// # Layout
//
//	distributor.go  taking uploads apart       identity.go  IDs of records
//	replicas.go     storing on a quorum        rates.go     what tenants may send
//	labels.go       labels of series           config.go, metrics.go
//
// # Invariants
//
//	D1  one bad series or profile does not keep the others from being stored;
//	D2  a profile counts as stored only when the ingester, or a quorum of
//	    ingesters, has acknowledged all its records;
//	D3  a decoder goes back to the pool only when no record of its profile is
//	    in use any more: the ingester of this process has answered, or will be
//	    given a copy, and what goes to others is encoded. That may be after Push
//	    has returned, so nothing of a profile lies in the memory of the request.
package distributor
