// Package block writes and reads blocks: immutable sets of profiles of one
// tenant, each at most one block duration long.
//
// A block is two files in a directory named by the block's ULID. "data.hearth"
// holds sections one after the other: Parquet tables for rows and symbols, and
// a Prometheus TSDB index for the series. "meta.json" says where each section
// lies and what its checksum is; it is written last, so a directory without it
// is no block. See ../FORMAT.md for every section and column.
//
// Why one data file: a block is opened and read by ranges, from a disk or from
// an object store, where an object costs a round trip.
//
// Why ranks: within a partition stacks are numbered anew by how often they
// occur, the frequent ones first (the classes are powers of two, ties keep the
// order of first sight). Rows then hold small, close numbers, which
// delta-encode to little; and a reader sums into an array whose hot part is
// short.
//
// Invariants:
//
//	B1  a block never changes; a reader may keep what it decoded;
//	B2  rows are sorted by (series, time, ID); a row series belongs to one
//	    partition, and partitions are contiguous in every table;
//	B3  stacks of a row are ascending and distinct, values are positive;
//	B4  the checksum of a section is verified before its first use, but that
//	    of the rows, of which a query reads a part: there, what does not decode
//	    is Corrupt.
package block
