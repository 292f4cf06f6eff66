// Package dev holds the steps behind `go tool mage …`: build, run, test.
//
// Magefile.go at the top of the repository only names the targets; what they
// do is ordinary Go here, so that it can be read, vetted and tested.
//
//	exec.go     commands and long-running processes, ended as whole groups
//	build.go    frontend, plugin backend, server, plugin host → dist/ and bin/
//	npm.go      installed packages that match the lock file
//	run.go      everything up, one page, Ctrl-C ends it
//	grafana.go  where the page is shown: a Grafana, Docker, the plugin host
//	test.go     all checks, one summary
//	fuzz.go     every fuzz target for a while
//	soak.go     the tests that draw what they do, for a while with new seeds
//	bench.go    benchmarks of the code and of the whole server
//	chrome.go   the browser of the browser tests
//
// Invariants:
//   - nothing is needed but Go, Node and git; what is missing is named;
//   - a process that was started is ended, with its children, whatever happens;
//   - the working directory is the top of the repository.
package dev
