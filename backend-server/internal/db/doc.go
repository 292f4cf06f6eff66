// Package db is the profile database of one tenant: a head in memory with a
// write-ahead log, and immutable blocks on the local disk. It is a library: it
// knows no network, no ring and no bucket.
//
// # Layout on disk
//
//	source                 the ULID that tells this database from others
//	head/<ULID>/           a head: its log's segments
//	head/<ULID>/cut.json   the blocks cut from it, once all are whole
//	local/<ULID>/          blocks (see package block)
//	local/<ULID>/shipped   since when there is a copy in the bucket
//	local/<ULID>.damaged/  blocks that were found damaged and set aside
//
// A head is cut by time into blocks of at most one block duration each, so
// that a late profile lands in a block of its own time. The blocks are written
// where they will stay; each names its head as its parent. They are read back
// whole. The file cut.json is the moment at which they take the head's place. A
// crash before it means that the log is replayed and blocks with that parent
// are thrown away; a crash after it, that the log is, once the blocks have been
// read whole again: what a block does not hold any more is taken from the log.
// Nothing is moved: whether a rename from one directory to another survives a
// power cut whole is up to the file system.
//
// # Memory
//
// A Budget, which databases share, bounds what their heads hold. A batch for
// which there is no room waits a little and is refused then, before any of it
// is stored.
//
// # Damage
//
// A block whose file is not what its meta file states is set aside: renamed,
// reported (Events.SetAside), neither read nor shipped any more, and no reason
// to refuse what arrives. If the bucket has a copy, that is what is read. A
// retry of something that only the damaged block held is stored again.
//
// # Invariants
//
//	D1  every acknowledged profile is in exactly one of: the head, a head being
//	    cut, a block; a View sees each once;
//	D2  a head's log is removed only after its blocks are in local/ and were
//	    read back; its blocks are shipped and dropped only after that;
//	D3  a record is looked for in all places of D1 before it is added, so that
//	    a retry, even after a flush or a restart, changes nothing. A block is
//	    dropped only once no retry can come: when its last profile is older
//	    than Options.RetryWindow and ten minutes. Where profiles of any age are
//	    taken (RetryWindow 0), retries are recognised while the block is local,
//	    which is for an hour and ten minutes after it was cut at the least;
//	D4  a block's files stay while a View that shows it is held;
//	D5  a block is dropped only if it is marked as shipped.
package db
