// Package ingester keeps the recent profiles: a database a tenant, opened when
// the tenant first pushes, and the loops that move data on.
//
//	push → db (WAL, head) ─ cut ─→ block on disk ─ ship ─→ bucket
//	                                     └─ tidy ─→ removed, the bucket serves
//
// The moves are made by loops of the service; the first two can be forced by
// Flush. A bucket that is away delays shipping only: blocks wait on disk and
// are tried again with growing pauses; pushing and reading go on.
//
// # When room gets scarce
//
// Memory: all heads share a db.Budget. From 70 % of it on the largest heads
// are cut, whatever their age, until half is free; what would go beyond it
// waits two seconds and is then refused as Exhausted, which clients take as
// "later". One tenant gets 80 % of it at the most.
//
// Disk: below the floor of DiskConfig the oldest blocks that are in the bucket
// are removed, and heads with large logs are cut, for a block is smaller than
// its log. Below a quarter of the floor all heads are cut and pushes are
// refused as Unavailable, until half of the floor is free; reading goes on.
//
// # Layout
//
//	ingester.go   pushing and reading
//	instance.go   a tenant's database
//	lifecycle.go  start and stop
//	schedule.go   which heads are cut, and when
//	ship.go       blocks to the bucket
//	disk.go       how full the disk is, and what follows
//	retain.go     when local blocks go
//	drain.go      before the ingester leaves a cluster for good
//
// # Invariants
//
//	I1  a tenant has at most one open database; whoever comes while it is being
//	    opened waits for it;
//	I2  databases are closed only after every push and view has ended;
//	I3  a block is marked as shipped only after the bucket has all of it, and
//	    those who read the bucket have been told;
//	I4  a local block is removed only after the bucket was seen to have all its
//	    files, and those who read the bucket to show it.
package ingester
