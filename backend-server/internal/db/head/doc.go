// Package head keeps the newest profiles of a tenant in memory, with a
// write-ahead log behind them.
//
// A head is made of partitions, one a service, each with its own symbols, row
// series and lock. Appending a record interns its stack traces, sums samples of
// equal stacks, and writes one log record that holds everything new: the
// symbols not logged before, the series not logged before, and the rows. The
// record goes into the log's queue while the partition's lock is held, so the
// log's order is the order in which indices were given out; the wait for the
// disk comes after, without any lock.
//
// A row is one profile of one row series: gaps between ascending stack indices
// and values, as varints, in an arena that is never written again. Sample
// types that are proportional to each other within a profile (samples and CPU
// time at a fixed rate) share a row, with the factor as its unit.
//
// Some sample types are running totals since a process began. Such a counter
// keeps what it grew by since the profile before, and when that was, see
// isCounter; the log has the totals, from which replay finds the same differences. Where one head ends,
// the next one is told the totals, see Carry.
//
// Rows of one service and type are also summed by window as they come, see
// group, so that a question about a whole service reads few sums instead of
// many rows.
//
// Readers take the slice headers of what they need under the partition's lock
// and read without it: everything behind a header only grows.
//
// Invariants:
//
//	H1  a row refers only to symbols and series that the log holds in the same
//	    or an earlier record;
//	H2  stacks of a row are ascending and distinct, values are positive;
//	H3  no two rows of a row series have the same ID;
//	H4  a row, once visible, never changes.
//
// After a failed log write the head is broken: memory may hold what the log
// does not. It then takes no more records; what was acknowledged stays
// readable, and the owner cuts it and opens another.
package head
