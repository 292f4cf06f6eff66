// Package distributor is the role that takes in profiles: it checks labels,
// times and sizes, decodes each profile once, gives it its identity and hands
// records to the ingester. What comes behind it never sees pprof.
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
// # Invariants
//
//	D1  one bad series or profile does not keep the others from being stored;
//	D2  a profile counts as stored only when the ingester has acknowledged all
//	    its records;
//	D3  a decoder goes back to the pool only when no record of its profile is
//	    in use any more, that is when the ingester's Push has returned.
package distributor
