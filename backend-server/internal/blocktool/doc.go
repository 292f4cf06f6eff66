// Package blocktool is what the commands "block list", "inspect", "verify" and
// "export" do: it looks at blocks where they lie, in a bucket or in a folder,
// without a server.
//
// It reads with the engine's own reader, but for checksums, which it computes
// from the bytes by itself: what a server would refuse, Verify finds, and what
// no query would ever notice (sums that are not those of the rows, rows out of
// order, rows that no series refers to) it finds too.
//
// Invariants:
//
//	T1  nothing is ever written to where the blocks lie;
//	T2  a block that is damaged does not keep others from being looked at;
//	T3  an export counts a profile once, however many blocks hold it, as a query
//	    does: package replica chooses.
//
// # Layout
//
//	place.go   where blocks lie          verify.go, rows.go   what is wrong
//	list.go    the blocks of tenants     inspect.go           what is in one
//	export.go  profiles as pprof         pick.go, slim.go     each once, no more
//	                                                          symbols than needed
package blocktool
