// Package frames turns answers of the profiling API into Grafana data frames
// and tables.
//
// The API sends a flame graph as levels: rows of bars, each bar's start coded
// as the distance from the end of the bar before. Grafana draws a nested set:
// one row a node in depth-first order with its level. decode.go walks the one
// into the other; flamegraph.go, functions.go and series.go build on it.
//
// Levels come from a network, so decoding trusts nothing. It refuses, with an
// upstream.Malformed error, what breaks one of these rules:
//
//	L1  a level holds a multiple of four numbers, and the first level one bar at 0
//	L2  offset, total and self are not negative, self is at most total
//	L3  a name index lies within the names
//	L4  every bar lies within one bar of the level above
//	L5  no sum overflows 64 bits
package frames
