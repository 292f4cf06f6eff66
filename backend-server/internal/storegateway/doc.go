// Package storegateway answers from the blocks in the bucket.
//
// It knows the blocks from listing the bucket, at start and every now and
// then, and from being told about new ones (Notify). Knowing a block means
// having its meta file; the block itself is opened by the first query that
// reads it, which a query does not do when it finds the same block on local
// disk. Blocks that nobody has read for a while are closed.
//
// The bucket is far away: a read takes as long as reading megabytes more. So a
// block is a block.Far, all that a question needs is read at once, and what is
// read again whenever a block is opened anew is kept nearby, see package cache.
// What opened blocks have decoded stays until it is more than the limit; those
// not asked for the longest let go of it first.
//
// Invariants:
//
//	G1  until the bucket has been listed once, views fail: an answer without
//	    the bucket would look complete and would not be;
//	G2  a block is closed only when no view holds it;
//	G3  a block whose meta file is missing or broken is not there: its upload
//	    has not finished;
//	G4  once Holds has returned nil for a block, views show it: other copies may
//	    go;
//	G5  in a cluster, the listing of G1 begins when the gateway has been on its
//	    ring for long enough for all to know of it (ListAfter): who does not
//	    tell it of a block (Learn) has shipped that before.
package storegateway
