// Package importer brings profiles into the bucket that no server has taken in:
// files of pprof (Profiles), and the blocks of a Pyroscope or Phlare (Blocks).
// Neither needs a server, and none has to be stopped meanwhile.
//
// # Files of pprof
//
// They go the way of a push: the distributor checks labels, decodes and names
// them and gives each its identity, and a database in a temporary folder makes
// rows, takes differences of running totals and cuts blocks. So numbers and
// series are those of a push; only the limits of age do not count. Files are
// taken in the order of their times, since a running total is compared with the
// one before.
//
// # Foreign blocks
//
// Package pyroblock reads them. A block that is read is a query.Queryable, so
// the engine writes its own blocks from it; no log and no head is needed. What
// it holds are differences already: series of counters get the label
// __delta__="false", which says so.
//
// # Invariants
//
//	I1  what is imported again, or by two at a time, changes no answer: an ID
//	    depends only on tenant, series and what was read, and every database or
//	    foreign block is a source of its own, so that package replica counts
//	    rows with the same ID once;
//	I2  within a source a profile is once: what is equal has an equal time, and a
//	    database is not flushed between files of the same time;
//	I3  one file, or one block, that is bad does not keep the others out;
//	I4  a foreign block is noted as done only after all that was made of it is in
//	    the bucket and was found to be the same: profiles, and sums by series.
//
// # Layout
//
//	profiles.go  files of pprof        blocks.go   foreign blocks, one by one
//	files.go     finding files         convert.go  one of them
//	ship.go      blocks to the bucket  check.go    is all of it there
package importer
