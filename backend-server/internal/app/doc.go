// Package app puts the parts of the server together. It is the only place that
// sees all roles and all transports, and holds no other logic.
//
// # Layout
//
//	config.go   all settings in one struct, made of those of the parts
//	app.go      New, Close: the lock on the data folder, the port, the roles
//	run.go      Run: what happens when, from the start to the end
//	modules.go  which role needs which (dskit modules)
//	write.go    the write path: push → distributor → ingester
//	read.go     the read path: query → query-frontend → querier → ingester, store-gateway
//	peers.go    what a member of a cluster has: port, connections, rings
//	copies.go   what there are too few copies of, before a process is a member
//	keep.go     where data stays: data folder, bucket, shipping
//	ops.go      /ready, /metrics, status pages
//
// # Invariants
//
//	A1  the settings do not change after New;
//	A2  nothing touches the data folder before its lock is held;
//	A3  the port answers while roles start, and /ready says why not yet; told to
//	    stop, /ready says so first, and the port closes before the roles stop;
//	A4  stopping is starting backwards: requests end first, then the roles, each
//	    before what it needs, then the lock is given back.
package app
