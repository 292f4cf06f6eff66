// Package deletion says which profiles are deleted, and shows data without
// them.
//
// # Why
//
// Profiles lie in blocks that are never changed and in heads that still grow,
// in several places each. To go through all of them before a deletion counts
// would take hours, and what comes late would be back. So a deletion is a Rule:
// it counts from the moment at which readers know it, for whatever is there and
// whatever comes, and blocks are written anew without what is deleted when there
// is time. Retention is the same thing: rules that follow the clock.
//
// # How
//
// Rules.Over puts a wrapper around every unit that a rule can concern. A wrapped
// unit is a query.Queryable like any other, so that digests, versions, sums and
// listings follow without knowing of rules. Series of which everything is
// deleted are not selected, rows that are deleted are skipped, and sums that were
// made in advance are used only where nothing they are made of is deleted.
//
// What a rule concerns is decided by a series' labels and a row's time alone.
// The sample types of a profile may share rows, so a rule cannot tell them
// apart: matchers on the labels that do are refused (Rule.Check).
//
// # Invariants
//
//	X1  a wrapped unit shows exactly the rows that no rule concerns, by whatever
//	    way they are read;
//	X2  of a unit that grows, what is shown at a later moment begins with what
//	    was shown before, row series by row series;
//	X3  units with the same rows, under rules that have the same effect on them,
//	    show the same; and wrapped units of the same data with the same Revision
//	    have the same rules;
//	X4  who reads with too few rules shows too much, never too little: a rule
//	    takes nothing away that it does not concern.
package deletion
