// Package db is the profile database of one tenant: a head in memory with a
// write-ahead log, and immutable blocks on the local disk. It is a library: it
// knows no network, no ring and no bucket.
//
// On disk:
//
//	head/<ULID>/         a head: its log's segments
//	head/<ULID>/cut.json the blocks cut from it, once all are whole
//	local/<ULID>/        blocks (see package block)
//	local/<ULID>/shipped there is a copy in the bucket
//
// A head is cut by time into blocks of at most one block duration each, so
// that a late profile lands in a block of its own time. The blocks are written
// where they will stay; each names its head as its parent. The file cut.json is
// the moment at which they take the head's place. A crash before it means that
// the log is replayed and blocks with that parent are thrown away; a crash
// after it, that the log is. Nothing is moved: whether a rename from one
// directory to another survives a power cut whole is up to the file system.
//
// Invariants:
//
//	D1  every acknowledged profile is in exactly one of: the head, a head being
//	    cut, a block; a View sees each once;
//	D2  a head directory is removed only after its blocks are in local/;
//	D3  a record is looked for in all places of D1 before it is added, so that
//	    a retry, even after a flush or a restart, changes nothing;
//	D4  a block's files stay while a View that shows it is held.
package db
