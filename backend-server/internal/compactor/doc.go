// Package compactor keeps the bucket small: it makes few large blocks of many
// small ones, takes out what is deleted, and removes what has had its time.
//
// # A round
//
// For each tenant that a compactor owns, a round
//
//  1. learns what is in the bucket: the index, a listing, and the meta files of
//     blocks that the index does not have (load);
//  2. finishes what an earlier one left: blocks whose place others have taken
//     are marked (settle);
//  3. plans jobs and does them one after the other (plan, job);
//  4. removes marked blocks whose time has come, and what is left of uploads
//     that nobody goes on with (clean).
//
// A job makes new blocks of some blocks of one tenant: copies of the same
// profiles, which ingesters write as often as the replication factor says,
// become one; hours become six hours and days; deleted profiles stay out. The
// choice between copies is the one that queries make (package replica), and the
// new blocks are read back and must show the very same profiles before they are
// uploaded.
//
// # Invariants
//
//	O1  what counts (package catalog) holds the same profiles before and after
//	    every step of a round, but for deleted ones; so a compactor can be killed
//	    anywhere, and two that do the same work at once do no harm;
//	O2  a block is marked after the blocks that take its place are in the bucket,
//	    whole, and in the index, and removed -compactor.deletion-delay later;
//	O3  the blocks of a job belong together: they count when all are known;
//	O4  a job that fails leaves nothing but files that the next start removes and
//	    blocks that the next round takes for input;
//	O5  a block that cannot be read keeps other blocks from nothing;
//	O6  before a block is removed, what it was marked for must still be so: those
//	    that take its place are whole in the bucket, or what has left nothing of
//	    it is in force.
//
// # Cost
//
// Inputs are copied to the local disk, checksums are looked at on the way. A job
// takes as much disk as its inputs and outputs, and as much memory as one
// partition's symbols and the writer of package block; see package merge. A
// profile is rewritten once for each of -compactor.ranges.
package compactor
