// Package stores starts real object stores for tests: each as a process of its
// own on a loopback port, with its data in a temporary folder, ended with the
// test.
//
//	filesystem  a folder
//	s3          versitygw (Apache-2.0), built by the go command
//	gcs         fake-gcs-server (BSD-2-Clause), built by the go command
//	azure       Azurite (MIT), installed by npm
//	swift       OpenStack Swift, if its programs are installed (Debian: swift-proxy
//	            swift-account swift-container swift-object)
//
// What is built or installed is kept in the user's cache folder, under its
// version. The environment variable HEARTH_TEST_STORES says which stores a test
// runs, separated by commas, or all; a store that is named there must be had,
// except Swift, which is skipped where it is not installed. Without it, they
// are filesystem and, if its program is in the cache folder already, s3.
//
// The suite of this package asks each store for all that package bucket needs;
// stores_test.go of package tests runs the server on each.
package stores
