// Package embedded runs the profiling server inside a plugin process, for an
// installation whose settings name no server.
//
// Grafana starts the plugin's executable twice, once for the app and once for
// the data source, and may restart either at any time. Both look at the same
// data folder. Whichever comes first holds the server's lock on it and serves;
// the other uses that server over HTTP and, when it dies, takes over. Nothing
// is agreed between them but the lock and a small record of the address:
//
//	<data>/hearth/embedded.json   {"url": "http://127.0.0.1:4040"}
//
// The record exists once a server has run, so that a plugin process that
// Grafana starts again serves at once and does not wait for somebody to look.
//
//	supervisor.go  the loop: follow a living server, else serve, else say why not
//	record.go      the record
//	folder.go      where the data folder is
//	hearth.go      the real server behind the interface
//
// Invariants:
//   - E1: a process serves only while it holds the lock of the data folder;
//   - E2: a server that answers is never competed with: ask first, open second;
//   - E3: the address in the record is the one of the last holder of the lock.
package embedded
