// Package replica counts profiles once that are stored several times.
//
// # Why
//
// Each profile is written to several ingesters, each of which makes blocks of
// its own, and a profile that was sent again while the ring changed may lie in
// places where nobody looked for it. So what a query finds, heads and blocks of
// many processes, overlaps in any way, and yet every sum has to be exact. To
// compare profile by profile would cost more than the query itself.
//
// # How
//
// A source is a database: what one ingester has taken in for one tenant, be it
// in a head, in local blocks or in the bucket by now. A source holds each
// profile once. A reader talks to the stores, those who show units of sources,
// in this order:
//
//  1. Each store takes a Snapshot of the units that a question concerns and
//     tells, for each series and window of an hour, how many profiles there are
//     and a digest of them (Unit, Entry).
//  2. The reader makes a Choice. Where all sources that have something of a
//     series in a window say the same, which is the rule, one of them is chosen.
//     Where they differ, because one was down or the newest profile is still on
//     its way to another, the reader asks for the profiles' IDs (Row) and takes
//     from one source all, and from others what that one lacks.
//  3. Each store answers the question over what was chosen from it (Pick). The
//     engine does not notice: a picked unit is a query.Queryable like any other,
//     and if all of it was chosen it is the unit itself, sums in advance
//     included.
//
// Sources are ranked, so that what can come from one comes from one: then whole
// groups of series are chosen of a block, and their sums need no rows.
//
// # Running totals
//
// Rows of a counter (profile.IsCounter) are what it grew by between two profiles
// that one source has seen, and two sources need not have seen the same ones. Each
// row says when the first of the two was, so it stands for a stretch of time. Of
// such series rows are taken from further sources only where they overlap with
// nothing that has been taken; see Choice. A unit says how far the rows of each
// window reach, so that where one source ends and another goes on, as where a
// compacted block ends, nothing has to be asked.
//
// Blocks of earlier versions do not say when growth began. Their rows are taken to
// begin where the one before ends, and the first of a source to reach back without
// end, so that one may be left out: rather too little growth than some twice.
//
// # Invariants
//
//	C1  a profile that any source has is in exactly one of the picks, in one
//	    store (of counters: no growth is in two);
//	C2  what a snapshot shows does not change while it is open, whatever is
//	    appended, cut, shipped or dropped;
//	C3  picks depend on what the stores said only, so that equal data has equal
//	    answers and an equal Version;
//	C4  units of which another store has shown the same (the same block on a disk
//	    and in the bucket), or the head they were cut from, do not count.
//
// Two sets of profiles with equal counts and equal digests are taken for equal.
// A digest is a sum of 64 bits of hashes over the profiles' IDs; who could make
// two sets collide can only spoil sums of his own tenant.
package replica
