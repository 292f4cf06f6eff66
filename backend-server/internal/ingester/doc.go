// Package ingester keeps the recent profiles: a database a tenant, opened when
// the tenant first pushes, and the loops that move data on.
//
//	push → db (WAL, head) ─ cut ─→ block on disk ─ ship ─→ bucket
//
// Both moves are made by loops of the service and can be forced by Flush. A
// bucket that is away delays shipping only: blocks wait on disk and are tried
// again with growing pauses; pushing and reading go on.
//
// Invariants:
//
//	I1  a tenant has at most one open database; whoever comes while it is being
//	    opened waits for it;
//	I2  databases are closed only after every push and view has ended;
//	I3  a block is marked as shipped only after the bucket has all of it, and
//	    those who read the bucket have been told.
package ingester
