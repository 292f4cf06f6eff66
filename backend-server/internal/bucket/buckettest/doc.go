// Package buckettest is an object store that misbehaves in every way that real
// ones do, so that a test can see whether its program bears it.
//
// # Design
//
// A Bucket wraps any other bucket. What goes wrong is said in three ways:
//
//   - Rules look at every Call and return a Fault: an error before or after the
//     call took effect, half an upload, a delay. FailOn and Sometimes are ready
//     ones; any function is a rule. A rule is called without locks held, so it
//     may wait, e.g. on a channel by which the test holds a call back.
//   - Lag makes the store forgetful about what was just written: listings that
//     come late, reads that find nothing yet.
//   - CrashAt is for programs that die: from the k-th mutation on every call
//     fails, until Restart. EveryCrash goes through all k.
//
// Invariants:
//
//	T1  the same seed and the same calls give the same faults, in whatever order
//	    goroutines make them: luck depends on the operation, the name and how
//	    often that one was called, never on the order of all calls;
//	T2  the wrapped bucket holds the truth: what a test reads from it directly
//	    (the field Bucket) is neither counted, delayed, nor failed;
//	T3  errors of this package say so (ErrInjected, ErrCrashed), and what lag
//	    hides is not found in the sense of IsObjNotFoundErr.
package buckettest
