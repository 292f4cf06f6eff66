// Package block writes and reads blocks: immutable sets of profiles of one
// tenant, each at most one block duration long.
//
// A block is two files in a directory named by the block's ULID. "data.hearth"
// holds Parquet tables for rows, sums and symbols, and a Prometheus TSDB index
// for the series. "meta.json" says where each section lies and what its
// checksum is; it is written last, so a directory without it is no block. See
// ../FORMAT.md for every section and column.
//
// # Reading
//
// A block is read by ranges, from a disk or from an object store, where each
// costs a round trip. One read gets the tail: the small tables, the index and
// all footers, which is enough to answer questions about labels and to plan any
// other. One more gets the symbols of a partition, and one a row group; where
// little of a large row group is wanted, its pages are picked. What was decoded,
// but for samples, is kept until Forget.
//
// Of a source far away (Far) a scan reads what it needs of all row groups at
// once: first the numbers of those where they decide which rows are wanted,
// then pages. The digests in the tail mostly say that without them.
//
// # Why so
//
// Ranks: within a partition stacks are numbered anew by how often they occur,
// the frequent ones first (the classes are powers of two, ties keep the order
// of first sight). Rows then hold small gaps between numbers; and a reader sums
// into an array whose hot part is short.
//
// Bundles: symbols of small partitions are written together, since services
// have code in common, which zstd then finds; and a tenant with a thousand small
// services has footers of a bearable size. A bundle is read and decoded whole, so
// it is small, and a partition that fills one shares it with none.
//
// Changes: a heap profile is mostly the one before. Values are stored as
// changes where, judged by the first rows of a row series, that compresses
// better.
//
// Sums: rows of a whole service are summed over windows in advance, where that
// leaves much less to read.
//
// # Memory
//
// Writing takes, apart from the symbols of the source and of the partition
// being written, which it needs anyway:
//
//   - a row group, compressed: 2^20 samples, mostly below 4 MiB, and 40 bytes a row;
//   - a portion of a row series to be sorted: 2^20 samples of 12 bytes, and 180
//     bytes a row;
//   - the bundle: twice 512 KiB, or twice the symbols of one partition if they are more;
//   - while sums are made, 13 numbers of 8 bytes a stack of the partition, or 32
//     MiB if that is more; and 12 bytes a sample of finished sums, of which there
//     are at most 3/8 of those of the partition;
//   - 16 bytes a row of one row series, to find the portions.
//
// A row with more samples than a portion is held all the same.
//
// Invariants:
//
//	B1  a block never changes; a reader may keep what it decoded;
//	B2  rows are sorted by (series, time, ID); a row series belongs to one
//	    partition, and partitions are contiguous in every table;
//	B3  stacks of a row are ascending and distinct, values are positive;
//	B4  everything is checked when it is read: the tail by the checksums in
//	    meta.json, pages by their own; what does not decode is Corrupt;
//	B5  the sums of a group are exactly its rows: what does not fit has none;
//	B6  digests are those of the rows, in their order.
package block
