// Package merge makes one input of a block of many units: what a compactor
// writes.
//
// The units hold each profile once; sorting that out is the work of package
// replica. Here their partitions of the same service become one, their row
// series of the same labels too, and their stack traces get common numbers.
//
// # Memory
//
// The symbols of one partition are held: those of the units, the common ones
// that are made of them, and a number for each stack trace of each unit. Rows
// are passed on one by one.
package merge
