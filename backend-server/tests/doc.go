// Package tests holds tests of the server as people run it: the real binary,
// built once, started as a process on a free port with its data in a temporary
// folder, spoken to over HTTP by the clients that agents and Grafana use.
//
//	harness_test.go  building, starting, killing; pushing and querying
//	single_test.go   one process: what goes in comes out, in every state of the data
//	spread_test.go   one set of profiles over head, local blocks and bucket at once
//	crash_test.go    SIGKILL at random moments; luck_test.go: which they are
//	history_test.go  profiles of hours ago, and what answers and the bucket have of them
//	compaction_test.go  the compactor is killed at every step; two of them work at once
//	command_test.go  the command line
//	stores_test.go   one process on each object store of package stores
//	tenants_test.go  a bucket of many tenants and blocks, and what it costs
//
// and of clusters of such processes, each on an address of its own:
//
//	fleet_test.go      starting and stopping members; netns_test.go: in network namespaces
//	ledger_test.go     what was sent, and whether an answer is right
//	traffic_test.go    a constant load, and what its clients see
//	cluster_test.go    members are killed, stopped, restarted, come and go
//	compacting_test.go the same while blocks are compacted all the time
//	deletion_test.go   what is deleted, or too old, never answers again
//	partition_test.go  the network falls apart
//	skew_test.go       members of two versions
//	fairness_test.go   one tenant asks much
//	distant_test.go    a day from three copies to compacted blocks in S3; meter_test.go
//	                   counts what is asked of it, day_test.go makes the day
package tests
