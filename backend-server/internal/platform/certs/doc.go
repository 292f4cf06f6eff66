// Package certs reads the certificates of a port, and reads them again when
// their files change: certificates are short-lived, processes are not.
//
// A port has a certificate, its key, and, where callers have to prove who they
// are, the authorities that may sign those of callers. Between members of a
// cluster the same three serve both directions.
//
// Invariants:
//
//	T1  a handshake uses the files as they are, or, while they cannot be used
//	    (half of them replaced, one torn), what could be read last;
//	T2  files that cannot be used are told of once a change, not once a
//	    handshake.
package certs
