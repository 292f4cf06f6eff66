// Package cache keeps what a store-gateway reads of blocks near it, within
// bounds.
//
// Memory bounds what opened blocks have decoded. Disk keeps raw parts of blocks
// as files, since decoding them anew costs a hundredth of what fetching does,
// and a restart loses what is in memory. Flights has those who want the same
// part at the same time wait for one read.
//
// A part is named by its block, what the block's content is (two blocks of one
// name may have lived one after the other), and its place. Blocks do not change,
// so a part is good as long as its file is whole.
//
// Invariants:
//
//	K1  what Disk returns is what was put: a checksum over name and content says
//	    so, and what it does not confirm is deleted;
//	K2  no failure of the disk fails or holds up a read: it is a miss, and nothing
//	    is written for a while;
//	K3  nothing is synced; after a crash files may be missing or broken (K1);
//	K4  a bound holds but for what is being put.
package cache
