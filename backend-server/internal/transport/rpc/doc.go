// Package rpc is how processes of a cluster call each other: gRPC on a port of
// its own, with the same certificates in both directions.
package rpc
