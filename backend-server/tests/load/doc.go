// Command load measures what servers that speak the Pyroscope API cost: it
// starts each on free ports with its data in a temporary folder, pushes real
// profiles over HTTP, asks questions, and prints CPU time, allocations, memory
// and bytes on the disk, side by side and as ratios.
//
//	load [-profiles FOLDER] [-peer PYROSCOPE] [-span 24h] [-quick] [-json]
//	load -cluster [-topologies one,split,all] …
//
// The server of this repository is always measured. With -peer, the binary of
// Grafana Pyroscope is too, once for each of its two storage engines.
//
// Three runs, each on a server that has just been started:
//
//	CPU profiles   20 series over one hour, one profile a series each 15 s
//	heap profiles  the same
//	long           both in turn, over -span with one profile a minute; asked
//	               from memory, killed, asked again, flushed, asked from disk
//
// With -cluster it is instead what a push costs all processes of a cluster
// together, each on an address of its own (127.0.10.1 and following), profiles
// of both kinds in turn over one hour, sent to the distributors in turn. The
// peer is its first storage engine:
//
//	one    one process that does everything and keeps one copy: the measure
//	       of what replication costs
//	split  a distributor and three ingesters, three copies
//	all    three processes that do everything, three copies
//
// A run of a cluster begins when a profile that each distributor is sent is
// stored as often as it should be, so that all members know each other. Then
// the processes are left alone, which tells what they take when idle; the cost
// of the push is what all took until they were idle again, so copies that are
// made after the answer are in it, less what idle ones would have taken in that
// time. A run with another number of copies than it should have fails.
//
// What makes the figures comparable, and what does not:
//   - CPU time is that of the server's process, user and system, from /proc,
//     so this runs on Linux only. It ticks every 10 ms: queries are repeated.
//     A busy machine makes all figures worse. Latencies are those of a machine
//     that client and server share; read ratios.
//   - Every figure comes from the same bytes, in the same order, with the same
//     times. A program with few profiles is filled up with variants of them:
//     two thirds of the samples, with other values (see corpus.go).
//   - Memory of the heads is what is alive after a garbage collection, less
//     what was alive when the server had started.
//   - Bytes on the disk are those of one copy.
//
// The files: main.go flags and the order of things; subject.go the servers;
// process.go and proc.go their processes; corpus.go what is pushed; push.go;
// query.go; stages.go the three runs; cluster.go those of clusters, fleet.go
// processes measured as one, members.go their command lines; report.go the
// table.
package main
